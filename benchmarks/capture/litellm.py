"""The peer: LiteLLM's proxy before the same upstream, without a logger and with one that appends to a file.

It is installed once, into an environment of its own below ``$TAO_CACHE``; where that fails, the peer is left out.
"""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import httpx

from benchmarks.capture.processes import free_port, stopped
from tao_ops.settings import PROJECT, Settings

REQUIREMENTS = PROJECT / "requirements" / "peers.txt"
_START_S = 180.0

_LOGGER = '''
"""Appends each call's standard payload to a file, as LiteLLM's documentation shows it."""

import json

from litellm.integrations.custom_logger import CustomLogger


class ToFile(CustomLogger):
    def __init__(self):
        super().__init__()
        self.file = open({path!r}, "a", encoding="utf-8")

    async def async_log_success_event(self, kwargs, response_obj, start_time, end_time):
        self.file.write(json.dumps(kwargs["standard_logging_object"], default=str) + "\\n")
        self.file.flush()


to_file = ToFile()
'''


def python() -> Path | None:
    """The interpreter of the peer's environment, made where it is missing; None where it cannot be made."""
    told = REQUIREMENTS.read_text(encoding="utf-8").split("==")[1].strip()
    folder = Settings.from_env().cache / "peers" / f"litellm-{told}"
    found = folder / "bin" / "python"
    ready = folder / ".installed"
    if ready.exists():
        return found
    uv = Path(sys.executable).with_name("uv")
    print(f"installing the peer into {folder}", flush=True)
    for command in (
        [str(uv), "venv", "-q", "--clear", "--python", sys.executable, str(folder)],
        [str(uv), "pip", "install", "-q", "--python", str(found), "-r", str(REQUIREMENTS)],
    ):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=1200, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            print(f"LiteLLM is left out: {error}")
            return None
        if done.returncode:
            print(f"LiteLLM is left out: {done.stderr.strip()[-300:]}")
            return None
    ready.touch()
    return found


@dataclass
class Proxy:
    """One process of LiteLLM's proxy."""

    process: "subprocess.Popen[bytes]"
    url: str
    log: Path | None

    @classmethod
    def start(cls, interpreter: Path, folder: Path, upstream: str, *, logs: bool) -> Self:
        """Start it before ``upstream``, an OpenAI base URL.

        Raises:
            RuntimeError: it did not start; the message is the end of its log.
        """
        folder.mkdir(parents=True)
        log = folder / "calls.jsonl" if logs else None
        routes = {"model": "openai/light", "api_base": upstream, "api_key": "none"}
        settings = {"callbacks": ["to_file.to_file"]} if logs else {}
        config = {"model_list": [{"model_name": "light", "litellm_params": routes}], "litellm_settings": settings}
        (folder / "config.yaml").write_text(json.dumps(config), encoding="utf-8")  # JSON is YAML
        if logs:
            (folder / "to_file.py").write_text(_LOGGER.format(path=str(log)), encoding="utf-8")
        port = free_port()
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("TAO_", "PYTHON"))},
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_LOG": "ERROR",
            "PYTHONPATH": str(folder),
        }
        command = [str(interpreter.with_name("litellm")), "--config", str(folder / "config.yaml")]
        command += ["--host", "127.0.0.1", "--port", str(port), "--num_workers", "1", "--telemetry", "False"]
        told = folder / "proxy.log"
        with told.open("wb") as out:
            process = subprocess.Popen(
                command, cwd=folder, env=environment, stdout=out, stderr=out, start_new_session=True
            )
        proxy, end = cls(process, f"http://127.0.0.1:{port}", log), time.monotonic() + _START_S
        while time.monotonic() < end and process.poll() is None:
            try:
                httpx.get(f"{proxy.url}/health/liveliness", timeout=5.0).raise_for_status()
                return proxy
            except httpx.HTTPError:
                time.sleep(0.2)
        stopped(process)
        raise RuntimeError(told.read_text(encoding="utf-8")[-1000:])
