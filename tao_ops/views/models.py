"""The candidates that lie in the lake's artifacts, and the versions that they were registered as.

MLflow is asked only where the record of champions does not tell one folder from another: its start takes seconds.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tao_ops.errors import DataError
from tao_ops.files import read_json
from tao_ops.lake import Lake
from tao_ops.lineage.versions import Manifests, run_of, turn_of
from tao_ops.settings import Settings
from tao_ops.trained_rows import MANIFEST, ROWS
from tao_ops.turn import path_safe
from tao_ops.views.releases import Standing

MOST = 20_000
"""Manifests whose figures are kept: some megabytes."""


@dataclass(frozen=True)
class Model:
    """A candidate in its folder.

    Attributes:
        base: model_version that it was trained from.
        turns: whose rows it may have been trained on; None where its manifest does not tell.
    """

    folder: Path
    model_version: str
    base: str
    turn: str
    run_id: str
    turns: frozenset[str] | None

    def rows_of(self, query_id: str) -> int:
        """How many rows of a query it was trained on; 0 where they are lost or erased."""
        import pyarrow.parquet as pq

        path = self.folder / ROWS
        if not path.is_file():
            return 0
        return int(pq.read_table(path, columns=["query_id"], filters=[("query_id", "=", query_id)]).num_rows)


def models(lake: Lake, flywheel: str) -> list[Model]:
    """All candidates of a flywheel, in the order of their folders; none where artifacts cannot be."""
    if "://" in lake.root:
        return []
    return [_model(path) for path in sorted(_manifests(Path(lake.root, "artifacts", flywheel)))]


class Recorded(Manifests):
    """The manifests of a flywheel's versions, found by the registry's record."""

    def __init__(self, lake: Lake, url: str, flywheel: str, stands: Standing) -> None:
        """``url`` is of the database ``tao``."""
        super().__init__(flywheel, url, Settings.from_env())
        self._lake, self._stands = lake, stands

    def of(self, version: int) -> dict[str, Any]:
        """The manifest beside a version.

        Raises:
            RegistryError: MLflow, where it has to be asked, does not know the version.
            DataError: there is no such version, it is the base model, or its manifest is lost.
        """
        newest = max(self._runs.values(), default=None)
        if newest is not None and version > newest:
            mend = f"its versions are numbered from 1 to {newest}"
            raise DataError(f"{self.flywheel} has no version {version}", where="the registry", mend=mend)
        release = self._stands.release(version)
        if release.turn is None or release.run_id is None or "://" in self._lake.root:
            return super().of(version)
        run = Path(self._lake.root, "artifacts", self.flywheel, path_safe(release.turn), path_safe(release.run_id))
        found = list(run.glob(f"candidate-*/{MANIFEST}"))
        if len(found) != 1:  # of a run that has made several, MLflow knows which
            return super().of(version)
        return {**read_json(found[0]), "path": str(found[0].parent), "version": version}

    def version_of_model(self, model: Model) -> int | None:
        """The number that a candidate was registered under, if it was."""
        told = bool(self._runs) or not self._stands.history  # events of release 0.1.0 name no run
        if told and len(list(model.folder.parent.glob(f"candidate-*/{MANIFEST}"))) == 1:
            return self._runs.get((model.turn, model.run_id))
        return self._versions.find(self.flywheel, run_id=model.run_id, model_version=model.model_version)

    @cached_property
    def _runs(self) -> dict[tuple[str | None, str | None], int]:
        """The newest version of each run."""
        return {(one.turn, one.run_id): one.version for one in reversed(self._stands.releases()) if one.run_id}


def _manifests(root: Path) -> Iterator[Path]:
    """Those of whole candidates: what an ``update`` has begun has none."""
    return root.glob(f"*/*/candidate-*/{MANIFEST}")


_KEPT: dict[tuple[str, int, int], Model] = {}
_LOCK = threading.Lock()


def _model(path: Path) -> Model:
    told = path.stat()
    # An erasure writes it anew.
    key = (str(path), told.st_mtime_ns, told.st_size)
    with _LOCK:
        if (known := _KEPT.get(key)) is not None:
            return known
    manifest = {**read_json(path), "path": str(path.parent)}
    turns = manifest.get("lineage", {}).get("turns")
    one = Model(
        folder=path.parent,
        model_version=manifest["model_version"],
        base=manifest["base"].get("model_version", ""),
        turn=turn_of(manifest) if turns or manifest.get("turn") else "",
        run_id=run_of(manifest),
        turns=frozenset(turns) if turns else None,
    )
    with _LOCK:
        if len(_KEPT) >= MOST:
            _KEPT.clear()
        _KEPT[key] = one
    return one
