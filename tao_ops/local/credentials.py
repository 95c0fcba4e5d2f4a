"""The secrets of one installation: made once, kept in a file that only its owner reads."""

import json
import os
import secrets
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from tao_ops.errors import ConfigError

FILE = "secrets.json"
ADMIN = "admin"


@dataclass(frozen=True)
class Credentials:
    """What must stay the same from one start to the next."""

    admin_password: str
    """Of the user ``admin`` in Airflow's UI."""
    jwt_secret: str
    """Signs Airflow's tokens."""
    api_secret_key: str
    """Signs Airflow's sessions."""
    hash_key: str
    """Key of the hashes of users and queries; another key makes other hashes."""


def credentials(home: Path) -> Credentials:
    """Read ``<home>/secrets.json``; make it where it is missing.

    Raises:
        ConfigError: the file is there and is not what this made.
    """
    path = home / FILE
    if not path.exists():
        _write(path, Credentials(secrets.token_urlsafe(12), *(secrets.token_urlsafe(64) for _ in range(3))))
    try:
        return Credentials(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        names = ", ".join(field.name for field in fields(Credentials))
        raise ConfigError("not a file of secrets", where=path, mend=f"it holds {names}: mend or remove it") from None


def write_passwords(path: Path, made: Credentials) -> None:
    """The password file of Airflow's simple auth manager."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _replace(path, json.dumps({ADMIN: made.admin_password}))


def _write(path: Path, made: Credentials) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    _replace(path, json.dumps(asdict(made), indent=1))


def _replace(path: Path, text: str) -> None:
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    fresh.replace(path)
