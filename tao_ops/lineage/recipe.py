"""The recipe beside a candidate: its flywheel's YAML, resolved, with the small files that it names; of others a digest.

It holds nothing of a user: of a database, of labelled responses and of all that lies outside ``include/`` there is the
digest alone.
"""

import hashlib
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tao_ops.config import Flywheel, expand
from tao_ops.config.flywheel import named_files
from tao_ops.errors import ConfigError
from tao_ops.lineage.environment import package_lock

FOLDER, PACKAGES = "recipe", "packages.txt"
LARGEST = 1 << 20
"""Bytes: a larger file or folder is not copied."""

_PATHS = {
    *("prompt", "expectations", "json_schema", "grammar", "file", "rubric", "template", "template_file"),
    *("path", "model", "database", "adapter", "accelerate", "anchors"),
}
"""Keys whose text may name a file or a folder."""
_NEVER = {"database", "anchors"}
"""Keys of what may hold users' texts."""


def write(flywheel: Flywheel, recipe: Path) -> dict[str, Any]:
    """Write the folder ``recipe`` in the place of an earlier one; returns what a manifest says of it.

    Raises:
        ConfigError: a file that the YAML names is gone by now.
    """
    shutil.rmtree(recipe, ignore_errors=True)
    yaml_file = recipe / "flywheels" / f"{flywheel.name}.yaml"
    yaml_file.parent.mkdir(parents=True)
    # Who runs the DAG, whom it tells and where its stages run is no part of how a candidate is made.
    told = flywheel.model_dump(mode="json", by_alias=True, exclude={"operation", "launch"})
    yaml_file.write_text(yaml.safe_dump(told, sort_keys=False, allow_unicode=True), encoding="utf-8")
    (recipe / PACKAGES).write_text("".join(f"{line}\n" for line in package_lock()), encoding="utf-8")
    files: dict[str, Any] = {}
    for name, never in sorted(_named(flywheel).items()):
        path = flywheel.file(expand(name))
        size, digest = _measure(path)
        copied = not never and size <= LARGEST and path.resolve().is_relative_to(flywheel.file("").resolve())
        if copied:
            _copy(path, recipe / name)
        files[name] = {"sha256": digest, "bytes": size, "copied": copied}
    return {"folder": FOLDER, "files": files}


@contextmanager
def prepared(flywheel: Flywheel, folder: Path) -> Iterator["Prepared"]:
    """A recipe as the files are now, in ``<folder>/.recipe`` until it is put beside a candidate, or given up."""
    place = folder / f".{FOLDER}"
    try:
        yield Prepared(place, write(flywheel, place))
    finally:
        shutil.rmtree(place, ignore_errors=True)


@dataclass(frozen=True)
class Prepared:
    """A recipe that waits for its candidate.

    Attributes:
        told: what the manifest says of it.
    """

    place: Path
    told: Mapping[str, Any]

    def put(self, candidate: Path) -> None:
        """Put it into the candidate's folder, in the place of an earlier one."""
        shutil.rmtree(candidate / FOLDER, ignore_errors=True)
        self.place.rename(candidate / FOLDER)


def restore(source: Path, files: Mapping[str, Mapping[str, Any]], *, include: Path, home: Path, target: Path) -> None:
    """Make an ``include/`` folder of a recipe; what it only names is linked to where it lies now.

    Args:
        source: the recipe's folder.
        files: ``files`` of :func:`write`.
        include: the installation's own.
        home: what ``${TAO_HOME}`` stands for.

    Raises:
        ConfigError: the recipe is not whole, or what it only names is gone.
    """
    if not source.is_dir():
        raise ConfigError("the recipe is lost", where=source, mend="restore the folder from a backup")
    shutil.copytree(source, target)
    for yaml_file in (target / "flywheels").glob("*.yaml"):
        told = yaml_file.read_text(encoding="utf-8").replace("${TAO_HOME}", str(home))
        yaml_file.write_text(told, encoding="utf-8")
    for name, facts in files.items():
        place = target / name
        if facts["copied"] or "${" in name or Path(name).expanduser().is_absolute():
            continue
        if ".." in Path(name).parts:
            raise ConfigError(
                "the YAML names it by a way out of include/", where=name, mend="name it by its whole path"
            )
        if not (include / name).exists():
            raise ConfigError(
                "the recipe names it, too large or too private to be copied, and it is gone",
                where=include / name,
                mend="put it back there",
            )
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to((include / name).resolve())


def changed(files: Mapping[str, Mapping[str, Any]], include: Path) -> list[str]:
    """What was not copied and is not what it was, or is gone."""
    found = []
    for name, facts in files.items():
        path = include / expand(name)
        if not facts["copied"] and (not path.exists() or _measure(path)[1] != facts["sha256"]):
            found.append(name)
    return found


def _named(flywheel: Flywheel) -> dict[str, bool]:
    """What the YAML names and is there, and whether it may never be copied."""
    found: dict[str, bool] = {}
    for task in flywheel.tasks.values():
        found |= dict.fromkeys(named_files(task).values(), False)
    told = flywheel.model_dump(mode="json", by_alias=True)
    for key, name in _texts({part: told[part] for part in ("tasks", "generate", "update")}):
        if key in _PATHS and _is_there(flywheel, name):
            found[name] = found.get(name, False) or key in _NEVER
    for task in flywheel.tasks.values():
        if task.calibration.anchors is not None:
            found[task.calibration.anchors] = True
    return found


def _texts(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict):
        for name, one in value.items():
            yield from _texts(one, str(name))
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one, key)


def _is_there(flywheel: Flywheel, name: str) -> bool:
    try:
        return bool(name) and flywheel.file(expand(name)).exists()
    except (ConfigError, OSError, ValueError):  # no path at all
        return False


def _measure(path: Path) -> tuple[int, str]:
    """Bytes, and SHA-256 of the content; of a folder, of its files' names and contents."""
    try:
        if path.is_file():
            with path.open("rb") as file:
                return path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()
        total, sha = 0, hashlib.sha256()
        for one in sorted(each for each in path.rglob("*") if each.is_file()):
            size, digest = _measure(one)
            sha.update(f"{one.relative_to(path)}\0{digest}\n".encode())
            total += size
        return total, sha.hexdigest()
    except OSError as error:
        raise ConfigError(f"it cannot be read: {error.strerror}", where=path, mend="mend the path") from None


def _copy(path: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        shutil.copytree(path, place, dirs_exist_ok=True)
    else:
        shutil.copyfile(path, place)
