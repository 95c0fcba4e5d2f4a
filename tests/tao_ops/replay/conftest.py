"""A version that a small flywheel's turn made, in a lake of its own, and its replay inside this process."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tao_ops import runner
from tao_ops.embedded_postgres import EmbeddedPostgres
from tao_ops.errors import RegistryError
from tao_ops.files import read_json
from tao_ops.lineage import versions
from tao_ops.records import ModelRef
from tao_ops.replay.again import replay
from tao_ops.replay.result import Replay
from tao_ops.stages import Run, Stage

UNTIL_UPDATE = (Stage.INGEST, Stage.VALIDATE, Stage.GENERATE, Stage.SCORE, Stage.UPDATE)
Executed = Callable[[Stage, Run], Mapping[str, Any]]


class Numbers:
    """A registry's numbers without a registry: version n is the n-th model that was given."""

    def __init__(self) -> None:
        self.models: list[tuple[str, ModelRef]] = []

    def ref(self, flywheel: str, version: int) -> ModelRef:
        if not 0 < version <= len(self.models):
            raise RegistryError(f"MLflow has no version {version} of {flywheel}")
        return self.models[version - 1][1]

    def find(self, flywheel: str, *, run_id: str, model_version: str) -> int | None:
        found = [
            n for n, (run, ref) in enumerate(self.models, 1) if (run, ref.model_version) == (run_id, model_version)
        ]
        return found[0] if found else None


@dataclass
class Made:
    """A flywheel whose turns make versions.

    Attributes:
        numbers: what stands for its registry.
    """

    shop: Any
    numbers: Numbers
    tmp: Path
    url: str | None

    def turn(self, day: int = 21, **log: Any) -> Run:
        """Run a day's turn to its candidate, and give that a version."""
        self.shop.log(day=day, **log)
        run: Run = self.shop.run(day, f"manual__{day}")
        for stage in UNTIL_UPDATE:
            runner.execute(stage, run)
        manifest = self.manifest(run)
        self.numbers.models.append((run.run_id, ModelRef(manifest["path"], manifest["model_version"])))
        return run

    def manifest(self, run: Run) -> dict[str, Any]:
        """The run's newest manifest."""
        return read_json(run.lake.artifacts(run.turn, run.run_id) / "candidate.json")

    def manifests(self) -> versions.Manifests:
        """The manifests of its versions."""
        return versions.Manifests("shop", self.shop.settings.database_url, self.shop.settings)

    def replay(
        self, version: int = 1, *, executed: Executed | None = None, folder: str = "replay", **how: Any
    ) -> Replay:
        """Replay a version in this process; ``executed`` runs a stage in the place of ``runner.execute``."""
        execute = executed or (lambda stage, run: runner.execute(stage, run).as_dict())
        return replay(
            self.manifests(),
            version,
            lake=self.shop.run().lake,
            settings=self.shop.settings,
            folder=self.tmp / folder,
            run_stage=lambda home: execute,
            url=self.url,
            say=self.shop.said.append,
            **{"until": Stage.UPDATE, **how},
        )

    def edit(self, run: Run, **lineage: Any) -> None:
        """Change what the manifest beside the run's candidate says of where it comes from."""
        path = Path(self.manifest(run)["path"]) / "manifest.json"
        told = read_json(path)
        path.write_text(json.dumps({**told, "lineage": {**told["lineage"], **lineage}}), encoding="utf-8")


@pytest.fixture
def made(shop: Any, tmp_path: Path, postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch) -> Made:
    """A small flywheel, and a database for its replays."""
    numbers = Numbers()
    monkeypatch.setattr(versions, "open_versions", lambda url, settings: numbers)
    return Made(shop, numbers, tmp_path, postgres.url(f"tao_replay_{tmp_path.name}".replace("-", "_")[:60]))
