"""The rows that candidates were trained on, which lie beside them: found again and taken out when they are erased.

They lie beside an ``update`` that is not finished too; with a row that is erased goes all that it was making.
"""

import hashlib
import secrets
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tao_ops.files import read_json, replaced, write_json
from tao_ops.lake import Lake

if TYPE_CHECKING:
    import pyarrow as pa

ROWS, MANIFEST, NEWEST = "training_rows.parquet", "manifest.json", "candidate.json"

Gone = Callable[[str, str], bool]
"""Whether the query of a turn is erased: ``gone(turn, query_id)``."""


@dataclass(frozen=True)
class Candidate:
    """A candidate's folder.

    Attributes:
        folder: the model, with the rows it was trained on and its manifest.
        model_version: digest of the model; empty for what an ``update`` has begun, and maybe left.
        base: model version that it was trained from.
    """

    folder: Path
    model_version: str
    base: str

    @property
    def run_id(self) -> str:
        """The run that made it, as folders name it."""
        return self.folder.parent.name


def candidates(lake: Lake, flywheel: str) -> list[Candidate]:
    """All candidates of a flywheel, and what attempts have begun; none where artifacts cannot be."""
    if "://" in lake.root:
        return []
    root = Path(lake.root) / "artifacts" / flywheel
    folders = {path.parent for path in root.rglob(ROWS)}
    return [_candidate(folder) for folder in sorted(folders) if not folders & set(folder.parents)]


def touched(candidate: Candidate, gone: Gone) -> int:
    """How many of the rows that it was trained on are to go."""
    return 0 if _has_ended(candidate) else _split(candidate.folder / ROWS, gone)[1]


def descendants(every: Collection[Candidate], models: Collection[str]) -> set[str]:
    """``models`` and all that were trained from them, in any number of steps."""
    found = set(models)
    while more := {c.model_version for c in every if c.base in found} - found:
        found |= more
    return found


def erase(candidate: Candidate, gone: Gone, now: datetime) -> int:
    """Take the rows out, for ever; returns how many there were.

    The manifest says from then on ``replayable: false``, when, and how many rows; ``training_rows_sha256`` is that of
    the rows that are left, ``rows`` stays what the model was trained on. It names nobody. Killed at any moment, it
    ends well when run again. Of a candidate that is not finished nothing is left: its checkpoints have learned the
    rows, nobody would be told of them, and the next attempt does without the rows. Of one that was finished since it
    was listed nothing is taken: it is a candidate by now, which the repetition of the erasure finds and names.
    """
    if _has_ended(candidate):
        return 0
    path = candidate.folder / ROWS
    left, removed = _split(path, gone)
    if removed and not candidate.model_version:
        # Out of the way of an attempt that is writing there: it fails, and is tried again without the rows.
        discard(candidate.folder.rename(candidate.folder.with_name(f".erased.{secrets.token_hex(4)}")))
    elif removed:
        with _replaced(path, left) as digest:
            for manifest in _manifests(candidate):
                told = read_json(manifest)
                erased = {"at": now.isoformat(timespec="seconds"), "rows": told["rows"] - left.num_rows}
                lineage = {**told.get("lineage", {}), "training_rows_sha256": digest}
                write_json(manifest, {**told, "replayable": False, "erased": erased, "lineage": lineage})
    return removed


def discard(folder: Path) -> None:
    """Remove a folder with rows, these last: as long as something lies beside them, an erasure finds it."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != ROWS:
            path.unlink()
    shutil.rmtree(folder)


def _candidate(folder: Path) -> Candidate:
    manifest = folder / MANIFEST
    told: dict[str, Any] = read_json(manifest) if manifest.is_file() else {"model_version": "", "base": {}}
    return Candidate(folder, told["model_version"], told["base"].get("model_version", ""))


def _has_ended(candidate: Candidate) -> bool:
    """Whether what was listed as begun is gone: its ``update`` was at work, and has ended."""
    return not candidate.model_version and not (candidate.folder / ROWS).is_file()


def _manifests(candidate: Candidate) -> Iterator[Path]:
    """Its manifest, and the run's copy of it where that is of this candidate."""
    own, newest = candidate.folder / MANIFEST, candidate.folder.parent / NEWEST
    if own.is_file():
        yield own
        if newest.is_file() and read_json(newest)["model_version"] == candidate.model_version:
            yield newest


def _split(path: Path, gone: Gone) -> tuple["pa.Table", int]:
    """The rows that stay, and the number of those that go."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = pq.read_table(path)
    pairs = zip(rows.column("turn").to_pylist(), rows.column("query_id").to_pylist(), strict=True)
    stay = [not gone(turn, query_id) for turn, query_id in pairs]
    return rows.filter(pa.array(stay, pa.bool_())), stay.count(False)


@contextmanager
def _replaced(path: Path, rows: "pa.Table") -> Iterator[str]:
    """Give the SHA-256 of the file of ``rows``; put it in the place of ``path`` once the block has ended well."""
    import pyarrow.parquet as pq

    with replaced(path) as fresh:
        pq.write_table(rows, fresh)
        with fresh.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        yield digest
