"""API keys: random, kept as hashes in a file that the server reads again when it changes."""

import hashlib
import hmac
import json
import re
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tao_ops.errors import ConfigError
from tao_ops.files import replaced

VARIABLES = ("TAO_SERVE_KEYS", "AIRFLOW_VAR_TAO_SERVE_KEYS")
"""Where keys may stand besides the file; the second is what Airflow's Variables are called in an environment."""
_LOOK_S = 1.0
"""How often the file's time is looked at."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,62}")
_SHORTEST = 20
"""Characters of a key that someone else made. The hash has no salt and is quick: a guessable key would be found."""


@dataclass(frozen=True)
class ApiKey:
    """One key.

    Attributes:
        name: whose it is.
        sha256: of the key, in hex. A key is 256 random bits, which no dictionary holds: no slow hash is needed.
        admin: whether it opens the routes below ``/tao``.
        created_at: in UTC, ISO 8601.
    """

    name: str
    sha256: str
    admin: bool = False
    created_at: str = ""


class Keys:
    """The keys that are let in: of a file, of the environment, or of both.

    Args:
        path: of the file, if there is one.
        fixed: keys from elsewhere, which stay.
        say: takes a line where the file cannot be read again; what it held before stays valid.

    Raises:
        ConfigError: the file cannot be read, or there is no key at all.
    """

    def __init__(
        self, path: Path | None, fixed: Iterable[ApiKey] = (), say: Callable[[str], None] = lambda line: None
    ) -> None:
        self._path, self._fixed, self._say = path, tuple(fixed), say
        self._of_file = tuple(read_keys(path)) if path is not None else ()
        self._stamp, self._looked = self._changed(), time.monotonic()
        if not self._fixed and not self._of_file:
            raise ConfigError("there is no API key", where=path, mend="tao server keys add FLYWHEEL NAME")

    def find(self, key: str) -> ApiKey | None:
        """Whose key it is; takes the same time wherever it differs."""
        self._read_again()
        digest, found = _digest(key), None
        for one in (*self._of_file, *self._fixed):
            if hmac.compare_digest(one.sha256.encode(), digest.encode()):
                found = one
        return found

    def _changed(self) -> tuple[int, int, int] | None:
        try:
            stat = self._path.stat() if self._path is not None else None
        except OSError:
            return None
        return None if stat is None else (stat.st_mtime_ns, stat.st_size, stat.st_ino)

    def _read_again(self) -> None:
        if self._path is None or time.monotonic() - self._looked < _LOOK_S:
            return
        self._looked, stamp = time.monotonic(), self._changed()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._of_file = tuple(read_keys(self._path))
        except ConfigError as error:
            self._say(f"the keys read before stay valid: {error}")


def configured_keys(path: Path | None, environment: Mapping[str, str], say: Callable[[str], None]) -> Keys | None:
    """The keys of ``path`` and of the environment; None where neither is set.

    Raises:
        ConfigError: what is set cannot be read, or holds no key.
    """
    text, variable = next(((environment[name], name) for name in VARIABLES if environment.get(name)), ("", ""))
    if path is None and not text:
        return None
    return Keys(path, keys_of_text(text, variable), say)


def keys_of_text(text: str, where: str) -> list[ApiKey]:
    """The keys of a variable: ``NAME=KEY`` separated by commas or blanks, ``admin:NAME=KEY`` for an administrator's.

    In the place of a key may stand ``sha256:`` and its hash; the text of a keys file is taken too.

    Raises:
        ConfigError: it is none of these; the message shows no key.
    """
    if text.lstrip().startswith("{"):
        return _of_json(text, where)
    found = []
    for i, entry in enumerate(part for part in re.split(r"[,\s]+", text) if part):
        name, _, key = entry.partition("=")
        admin = name.startswith("admin:")
        name, digest = name.removeprefix("admin:"), key.removeprefix("sha256:")
        hashed = key != digest
        if not _NAME.fullmatch(name) or (
            not re.fullmatch("[0-9a-f]{64}", digest) if hashed else len(key) < _SHORTEST or not key.isascii()
        ):
            raise ConfigError(
                f"entry {i + 1} is no key",
                where=where,
                mend=f"write NAME=KEY, of {_SHORTEST} characters or more, or NAME=sha256:HASH",
            )
        found.append(ApiKey(name, digest if hashed else _digest(key), admin))
    return found


def read_keys(path: Path) -> list[ApiKey]:
    """The keys of a file.

    Raises:
        ConfigError: it is missing, or no keys file.
    """
    try:
        return _of_json(path.read_text(encoding="utf-8"), path)
    except FileNotFoundError:
        raise ConfigError(
            "the file of API keys is missing", where=path, mend="tao server keys add FLYWHEEL NAME"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the API keys cannot be read: {error}", where=path) from None


def add_key(path: Path, name: str, *, admin: bool = False) -> str:
    """Add a new key to a file, which is made where it is missing; returns the key, which is kept nowhere.

    Raises:
        ConfigError: the name is taken, or no name.
    """
    keys = read_keys(path) if path.exists() else []
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{name!r} is no name of a key", where=path, mend="letters, digits and .-_@, up to 63")
    if any(one.name == name for one in keys):
        raise ConfigError(f"there is a key {name!r} already", where=path, mend="remove it first, or name another")
    key = f"tao-{secrets.token_urlsafe(32)}"
    made = datetime.now(UTC).isoformat(timespec="seconds")
    _write(path, [*keys, ApiKey(name, _digest(key), admin, made)])
    return key


def remove_key(path: Path, name: str) -> None:
    """Take a key out of a file; servers that run stop taking it within a second or two.

    Raises:
        ConfigError: it is not there.
    """
    keys = read_keys(path)
    kept = [one for one in keys if one.name != name]
    if len(kept) == len(keys):
        names = ", ".join(one.name for one in keys) or "none"
        raise ConfigError(f"there is no key {name!r}", where=path, mend=f"there are: {names}")
    _write(path, kept)


def _write(path: Path, keys: Iterable[ApiKey]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replaced(path) as fresh:
        fresh.touch(0o600)
        fresh.write_text(json.dumps({"keys": [asdict(one) for one in keys]}, indent=2) + "\n", encoding="utf-8")


def _of_json(text: str, where: Any) -> list[ApiKey]:
    try:
        return [_checked(ApiKey(**one)) for one in json.loads(text)["keys"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ConfigError(
            "not a file of API keys", where=where, mend="make one with: tao server keys add FLYWHEEL NAME"
        ) from None


def _checked(key: ApiKey) -> ApiKey:
    whole = isinstance(key.name, str) and isinstance(key.admin, bool) and isinstance(key.sha256, str)
    if not whole or not _NAME.fullmatch(key.name) or not re.fullmatch("[0-9a-f]{64}", key.sha256):
        raise ValueError(key.name)
    return key


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
