"""Where a version's folder is, and whether it still holds what was registered.

``python -m tao_ops.serve.locate FLYWHEEL VERSION`` prints one line of JSON. A process of its own: MLflow, which it
asks, takes seconds of a core to be loaded, and a folder takes as long to be read; a server would delay its answers.
"""

import asyncio
import json
import os
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from tao_ops.errors import ModelError, RegistryError, TaoError
from tao_ops.records import ModelRef
from tao_ops.serve.lanes import Served
from tao_ops.telemetry import quiet

LIMIT_S = 600.0


def located(flywheel: str, version: int, url: str) -> Served:
    """The folder of a version, its content compared with the digest that it was registered with.

    Raises:
        ModelError: the folder is no model, or holds another.
        RegistryError: no database, or MLflow does not know the version.
        ConfigError: there is no such flywheel.
    """
    from tao_ops.champions import base_model
    from tao_ops.config import load_flywheel
    from tao_ops.models import model_ref
    from tao_ops.registry import BASE, Registry
    from tao_ops.settings import Settings

    settings = Settings.from_env()
    recorded: ModelRef | None = None
    if version == BASE:
        folder = base_model(load_flywheel(flywheel, settings), settings, lambda line: None)
    else:
        recorded = Registry(url, None).ref(flywheel, version)
        folder = Path(recorded.path)
    found = model_ref(folder, version)
    if recorded is not None and found.model_version != recorded.model_version:
        raise ModelError(
            f"version {version} of {flywheel} was registered as {recorded.model_version}, its folder now holds "
            f"{found.model_version}",
            where=folder,
            mend="restore the folder from a backup",
        )
    return Served(version, found.model_version, str(folder))


async def locate(flywheel: str, version: int, url: str, *, limit_s: float = LIMIT_S) -> Served:
    """As :func:`located`, in a process of its own.

    Raises:
        ModelError: the version cannot be served.
        RegistryError: nobody could say; asking again may help.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tao_ops.serve.locate",
        flywheel,
        str(version),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, "TAO_DATABASE_URL": url},
    )
    try:
        async with asyncio.timeout(limit_s):
            said, _ = await process.communicate()
    except TimeoutError:
        raise RegistryError(f"version {version} of {flywheel} was not found within {limit_s:.0f} s") from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    try:
        told = json.loads(said.splitlines()[-1])
    except (ValueError, IndexError):
        raise RegistryError(
            f"the look-up of version {version} of {flywheel} ended with {process.returncode} and said nothing"
        ) from None
    if "error" in told:
        raise (RegistryError if told["retryable"] else ModelError)(told["error"])
    return Served(**told)


def main(flywheel: str, version: str) -> None:
    """Print where the version is, or what is wrong with it."""
    quiet()
    try:
        told = asdict(located(flywheel, int(version), os.environ["TAO_DATABASE_URL"]))
    except (TaoError, OSError) as error:
        told = {"error": str(error), "retryable": isinstance(error, OSError) or getattr(error, "retryable", False)}
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
