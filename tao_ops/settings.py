"""Where things are on this machine. Every value can be set by an environment variable."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from tao_ops.errors import ConfigError

PROJECT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Settings:
    """Places and secrets of one installation.

    ============================ ==================================== ===============================
    variable                     default                              meaning
    ============================ ==================================== ===============================
    ``TAO_HOME``                 ``.tao`` in the project's folder     everything that is written
    ``TAO_CACHE``                ``$TAO_HOME/cache``                  the converted embedded model
    ``TAO_LAKE``                 ``$TAO_HOME/lake``                   root of the tables and artifacts
    ``TAO_DATABASE_URL``         embedded PostgreSQL in ``$TAO_HOME``  server for leases and registry
    ``TAO_INCLUDE``              ``include`` in the project's folder  flywheels, prompts, benchmarks
    ``TAO_HASH_KEY``             that of ``$TAO_HOME/secrets.json``   key of the hashes of users
    ============================ ==================================== ===============================
    """

    home: Path
    cache: Path
    lake: str
    database_url: str | None
    include: Path
    hash_key: str | None

    @classmethod
    def from_env(cls) -> "Settings":
        """Read the environment; relative paths are taken from the working directory."""
        home = Path(os.environ.get("TAO_HOME") or PROJECT / ".tao").absolute()
        return cls(
            home=home,
            cache=Path(os.environ.get("TAO_CACHE") or home / "cache").absolute(),
            lake=os.environ.get("TAO_LAKE") or str(home / "lake"),
            database_url=os.environ.get("TAO_DATABASE_URL") or None,
            include=Path(os.environ.get("TAO_INCLUDE") or PROJECT / "include").absolute(),
            hash_key=os.environ.get("TAO_HASH_KEY") or _kept_hash_key(home),
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


def _kept_hash_key(home: Path) -> str | None:
    """The key that ``tao local`` made for this home, if it did."""
    try:
        kept = json.loads((home / "secrets.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return kept.get("hash_key") if isinstance(kept, dict) else None
