"""What the capture of one server has to know, from a flywheel's YAML or from the environment alone."""

import json
import os
import re
import socket
import sys
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Self

from tao_ops.config import CaptureConfig, Flywheel, PrivacyConfig, expand, load_flywheel
from tao_ops.errors import ConfigError
from tao_ops.settings import Settings


@dataclass(frozen=True)
class Setup:
    """Where and how requests are written.

    Attributes:
        folder: of the segments.
        key: of the hashes of users; the same as the flywheel's ``ingest`` has, or an erasure would not find them.
        server: begins the names of the segments.
        privacy: what is taken out of the messages of each task.
        strictest: the same for a request whose task nobody has said.
        python: the interpreter of the writer process.
    """

    folder: str
    key: bytes
    config: CaptureConfig = field(default_factory=CaptureConfig)
    server: str = ""
    privacy: dict[str, PrivacyConfig] = field(default_factory=dict)
    strictest: PrivacyConfig = field(default_factory=PrivacyConfig)
    python: str = sys.executable

    @classmethod
    def of_flywheel(cls, flywheel: Flywheel, settings: Settings, server: str = "") -> Self | None:
        """As ``serve.capture`` of the YAML says; None where that is null.

        Raises:
            ConfigError: there is no key for the hashes, or the path's variable is not set.
        """
        config = flywheel.serve.capture
        if config is None:
            return None
        default = str(settings.home / "captured" / flywheel.name)
        privacy = {name: task.privacy for name, task in flywheel.tasks.items()}
        regions = {region for one in privacy.values() for region in one.regions}
        return cls(
            folder=expand(config.path) if config.path else default,
            key=settings.require_hash_key(),
            config=config,
            server=server or _host(),
            privacy=privacy,
            strictest=next(iter(privacy.values()))
            if len(privacy) == 1
            else PrivacyConfig(regions=tuple(sorted(regions))),
            python=os.environ.get("TAO_CAPTURE_PYTHON") or sys.executable,
        )

    @classmethod
    def from_env(cls) -> Self:
        """For a server that is not ours, which names the middleware and nothing else.

        =========================== ============================================================================
        variable                    meaning
        =========================== ============================================================================
        ``TAO_FLYWHEEL``            flywheel whose YAML says all of it (``serve.capture``, the tasks' ``privacy``)
        ``TAO_CAPTURE_PATH``        folder of the segments; without a flywheel it must be set, and everything
                                    personal is taken out
        ``TAO_CAPTURE_PYTHON``      interpreter of the writer process, where the server's own has not what
                                    redaction needs
        ``TAO_SERVER``              begins the segments' names; the host's name
        ``TAO_HASH_KEY``            key of the hashes
        =========================== ============================================================================

        Raises:
            ConfigError: neither a flywheel nor a folder is named, or there is no key.
        """
        settings, folder = Settings.from_env(), os.environ.get("TAO_CAPTURE_PATH")
        server = os.environ.get("TAO_SERVER") or _host()
        if name := os.environ.get("TAO_FLYWHEEL"):
            flywheel = load_flywheel(name, settings)
            told = flywheel.serve.capture or CaptureConfig()
            serve = flywheel.serve.model_copy(
                update={"capture": told.model_copy(update={"path": folder} if folder else {})}
            )
            setup = cls.of_flywheel(flywheel.model_copy(update={"serve": serve}), settings, server)
            assert setup is not None
            return setup
        if not folder:
            raise ConfigError(
                "the capture does not know where to write",
                where="TAO_FLYWHEEL, TAO_CAPTURE_PATH",
                mend="set one of them: a flywheel's name, or a folder",
            )
        python = os.environ.get("TAO_CAPTURE_PYTHON") or sys.executable
        return cls(folder, settings.require_hash_key(), server=server, python=python)

    def to_json(self) -> bytes:
        """For the writer process, which gets it through its pipe: a key has no place in a command line."""
        told = {
            "folder": self.folder,
            "key": self.key.hex(),
            "config": self.config.model_dump(mode="json"),
            # Written durations know whole seconds alone.
            "interval_s": self.config.interval.total_seconds(),
            "segment_age_s": self.config.segment_age.total_seconds(),
            "server": self.server,
            "privacy": {task: one.model_dump(mode="json") for task, one in self.privacy.items()},
            "strictest": self.strictest.model_dump(mode="json"),
        }
        return json.dumps(told).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """The reverse of :meth:`to_json`."""
        told = json.loads(data)
        return cls(
            folder=told["folder"],
            key=bytes.fromhex(told["key"]),
            config=CaptureConfig.model_validate(told["config"]).model_copy(
                update={name: timedelta(seconds=told[f"{name}_s"]) for name in ("interval", "segment_age")}
            ),
            server=told["server"],
            privacy={task: PrivacyConfig.model_validate(one) for task, one in told["privacy"].items()},
            strictest=PrivacyConfig.model_validate(told["strictest"]),
        )


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "-", socket.gethostname())[:48] or "server"
