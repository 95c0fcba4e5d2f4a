"""Versions past their retention: their weights go, what tells where they came from stays.

Kept are the weights of the newest versions, the champion, the one before it, those that wait for an answer, the
canary's, and of all of these the versions that their training began at, and so on down.
"""

import shutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tao_ops.errors import MissingInput
from tao_ops.files import read_json
from tao_ops.mlflow_layout import COMPONENTS, MLMODEL
from tao_ops.records import Progress
from tao_ops.registry import record
from tao_ops.registry.record import Answer, ChampionEvent
from tao_ops.registry.versions import Registry
from tao_ops.submissions import Registered

_MODEL = ("*.safetensors", "*.safetensors.index.json", "tokenizer*", "vocab.*", "merges.txt", "chat_template.jinja")
_FILES = (*_MODEL, MLMODEL, "registered_model_meta")
"""What goes of a model's folder: manifest, card, trained rows and what else says how it was made is not among it."""


@dataclass(frozen=True)
class Expired:
    """What was deleted, or in a dry run would be."""

    versions: Sequence[int] = ()
    files: int = 0
    bytes: int = 0


def kept(
    versions: Sequence[Registered],
    history: list[ChampionEvent],
    champion: int,
    *,
    newest: int,
    overdue: Collection[int] = (),
) -> set[int]:
    """The versions whose weights stay; those that are ``overdue`` don't for their question's sake."""
    began = {one.version: one.base_version for one in versions}
    wanted: set[int] = set(sorted(began)[-newest:])
    wanted |= {champion, record.previous(history, champion) or record.BASE, record.on_canary(history) or record.BASE}
    wanted |= {v for v in began if record.answer(history, v) is Answer.PENDING and v not in overdue}
    return _with_bases(wanted, began)


def expire(
    flywheel: str,
    newest: int,
    registry: Registry,
    *,
    say: Progress,
    dry_run: bool = False,
    approval_limit: timedelta | None = None,
) -> Expired:
    """Delete the weights of versions that are not kept; done again, it finishes what a kill left half done.

    A folder is touched only if it is this version's by its own manifest, and no kept version's.

    Args:
        approval_limit: what has waited for an answer for longer is rejected first; by default nothing is.

    Raises:
        RegistryError: the registry cannot be used; nothing was deleted.
    """
    with registry.lock(flywheel):
        now, versions, history = datetime.now(UTC), registry.versions(flywheel), registry.events(flywheel)
        overdue = [] if approval_limit is None else record.overdue(history, approval_limit, now)
        stay = kept(versions, history, registry.champion_version(flywheel), newest=newest, overdue=overdue)
        if approval_limit is not None and not dry_run:
            registry.reject_overdue(flywheel, approval_limit, now, say=say)
        in_use = {one.path for one in versions if one.version in stay}
        done, files, size = [], 0, 0
        for one in versions:
            if one.version in stay or one.path in in_use:
                continue
            found = _model_files(one)
            if not found:
                continue
            done.append(one.version)
            files, size = files + len(found), size + sum(path.stat().st_size for path in found)
            if not dry_run:
                registry.expire(flywheel, one.version, why=f"past retention.versions, {newest}")
                _delete(found, Path(one.path))
    if done:
        would = "would go" if dry_run else "are deleted"
        say(f"versions: the weights of {len(done)} of {flywheel} {would}: {', '.join(map(str, done))}")
    return Expired(done, files, size)


def _with_bases(wanted: Collection[int], began: Mapping[int, int | None]) -> set[int]:
    found: set[int] = set()
    todo = list(wanted)
    while todo:
        version = todo.pop()
        if version and version not in found:
            found.add(version)
            todo.append(began.get(version) or record.BASE)
    return found


def _model_files(one: Registered) -> list[Path]:
    folder = Path(one.path)
    try:
        manifest = read_json(folder / "manifest.json")
    except MissingInput:
        return []
    if manifest.get("model_version") != one.model_version:
        return []
    tops: Iterable[Path] = (path for pattern in _FILES for path in folder.glob(pattern))
    below = (path for path in (folder / COMPONENTS).rglob("*"))
    return sorted({path for path in (*tops, *below) if path.is_file()})


def _delete(files: Sequence[Path], folder: Path) -> None:
    for path in files:
        path.unlink(missing_ok=True)
    shutil.rmtree(folder / COMPONENTS, ignore_errors=True)
