"""Where things are on this machine. Every value can be set by an environment variable."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from tao_ops.errors import ConfigError

PROJECT = Path(__file__).resolve().parent.parent
"""The project's folder; where the library was installed from a wheel, the folder of installed packages."""


@dataclass(frozen=True)
class Settings:
    """Places and secrets of one installation.

    ============================ ==================================== ===============================
    variable                     default                              meaning
    ============================ ==================================== ===============================
    ``TAO_HOME``                 ``.tao`` in the project's folder,    everything that is written
                                 ``~/.tao`` without one
    ``TAO_CACHE``                ``$TAO_HOME/cache``                  the converted embedded model
    ``TAO_LAKE``                 ``$TAO_HOME/lake``                   root of the tables and artifacts
    ``TAO_DATABASE_URL``         embedded PostgreSQL in ``$TAO_HOME``  server for leases and registry
    ``TAO_INCLUDE``              ``include`` in the project's folder, flywheels, prompts, benchmarks
                                 none without one
    ``TAO_HASH_KEY``             that of ``$TAO_HOME/secrets.json``   key of the hashes of users
    ============================ ==================================== ===============================

    The two secrets may be kept out of the environment: ``TAO_DATABASE_URL_FILE`` and ``TAO_HASH_KEY_FILE`` name files
    that they are read from, as container engines and Kubernetes mount them. The variable itself wins over its file.
    """

    home: Path
    cache: Path
    lake: str
    database_url: str | None
    include: Path
    hash_key: str | None

    @classmethod
    def from_env(cls) -> "Settings":
        """Read the environment; relative paths are taken from the working directory.

        Raises:
            ConfigError: a file that holds a secret cannot be read, or is empty; nothing names the flywheels' folder.
        """
        home = Path(os.environ.get("TAO_HOME") or _default_home()).absolute()
        return cls(
            home=home,
            cache=Path(os.environ.get("TAO_CACHE") or home / "cache").absolute(),
            lake=os.environ.get("TAO_LAKE") or str(home / "lake"),
            database_url=_secret("TAO_DATABASE_URL"),
            include=Path(os.environ.get("TAO_INCLUDE") or _default_include()).absolute(),
            hash_key=_secret("TAO_HASH_KEY") or _kept_hash_key(home),
        )

    def require_hash_key(self) -> bytes:
        """The key of the hashes of users and queries.

        Raises:
            ConfigError: no key is set.
        """
        if not self.hash_key:
            raise ConfigError(
                "no key for the hashes of users",
                where="TAO_HASH_KEY",
                mend="set it to a long random text and keep it: another key makes other hashes",
            )
        return self.hash_key.encode()


def is_project() -> bool:
    """Whether the library lies in the project's folder, and not among installed packages."""
    return (PROJECT / "include" / "flywheels").is_dir()


def _default_home() -> Path:
    return PROJECT / ".tao" if is_project() else Path.home() / ".tao"


def _default_include() -> Path:
    if not is_project():
        raise ConfigError(
            "nothing says where the flywheels are",
            where="TAO_INCLUDE",
            mend="set it to the folder that holds flywheels/NAME.yaml and the files that they name",
        )
    return PROJECT / "include"


def _secret(name: str) -> str | None:
    """The variable ``name``, else what stands in the file that ``<name>_FILE`` names, without blanks around it."""
    if value := os.environ.get(name):
        return value
    path = os.environ.get(f"{name}_FILE")
    if not path:
        return None
    try:
        text = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8"
        mend = f"mount the secret there, let this account read it, or set {name}"
        raise ConfigError(f"{path} cannot be read: {why}", where=f"{name}_FILE", mend=mend) from None
    if not text or "\n" in text:
        what = "has several lines" if text else "is empty"
        raise ConfigError(f"{path} {what}", where=f"{name}_FILE", mend="write the secret alone into it, on one line")
    return text


def _kept_hash_key(home: Path) -> str | None:
    """The key that ``tao local`` made for this home, if it did."""
    try:
        kept = json.loads((home / "secrets.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return kept.get("hash_key") if isinstance(kept, dict) else None
