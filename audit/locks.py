"""The packages of a lock that ``make lock`` wrote: name, version, hashes, and what asks for each."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from audit import AuditError

_FOLDER = Path(__file__).resolve().parents[1] / "requirements"
LOCKS = tuple(_FOLDER / f"{name}.txt" for name in ("cpu", "gpu", "airflow"))
_PIN = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^]]*\])?==(?P<version>[^\s;\\]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_VIA = re.compile(r"#(?:\s+via)?\s+(?!via$)(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?P<project> \(pyproject\.toml\))?$")


@dataclass(frozen=True)
class Package:
    """One line of a lock."""

    name: str
    version: str
    hashes: tuple[str, ...]
    """SHA-256 in hex of each file that may be installed."""
    via: tuple[str, ...]
    """The packages that ask for it; empty where this project does."""
    lock: str

    @property
    def public_version(self) -> str:
        """The version without what a registry's build adds to it (``+cpu``)."""
        return self.version.partition("+")[0]


def read(path: Path) -> list[Package]:
    """All packages of a lock, in its order.

    Raises:
        AuditError: the file is missing, is no lock, or pins a package without a hash.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise AuditError(f"the lock {path.name} cannot be read: {error.strerror} — run `make lock`") from error
    packages = [_package(path, block) for block in _blocks(path, lines)]
    if not packages:
        raise AuditError(f"the lock {path.name} holds no package — run `make lock`")
    return packages


def canonical(name: str) -> str:
    """A name as registries compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _blocks(path: Path, lines: list[str]) -> Iterator[list[str]]:
    """The lines of each package: its pin, its hashes, and the comments on who asks for it."""
    block: list[str] = []
    for line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        if not line.startswith(" "):
            if block:
                yield block
            block = [line]
        elif block:
            block.append(line.strip())
        else:
            raise AuditError(f"the lock {path.name} starts with {line.strip()!r} — run `make lock`")
    if block:
        yield block


def _package(path: Path, block: list[str]) -> Package:
    pin = _PIN.match(block[0])
    if pin is None:
        raise AuditError(f"{path.name} has a line that pins no version: {block[0]} — run `make lock`")
    hashes = tuple(found.group(1) for line in block if (found := _HASH.search(line)))
    if not hashes:
        raise AuditError(f"{path.name} has no hash for {pin['name']} — run `make lock`")
    via = [found for line in block[1:] if (found := _VIA.match(line))]
    asked = tuple(canonical(found["name"]) for found in via if not found["project"])
    return Package(canonical(pin["name"]), pin["version"], hashes, asked, path.stem)
