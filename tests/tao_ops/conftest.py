"""What the library's tests share: a real PostgreSQL server, and a turn whose candidate has been evaluated."""

import math
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tao_ops.config import Flywheel
from tao_ops.database import start_embedded
from tao_ops.embedded_postgres import EmbeddedPostgres
from tao_ops.files import write_json
from tao_ops.lake import open_lake
from tao_ops.settings import Settings
from tao_ops.stages import Run
from tao_ops.tables import EVALUATIONS
from tao_ops.turn import Turn

FACTS = {"architecture": "LlamaForCausalLM", "parameters": 134_515_008, "dtype": "BF16"}


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """One embedded server for all tests of the session."""
    # A short path: a Unix socket's may not be longer than 107 characters.
    with tempfile.TemporaryDirectory(prefix="tao-") as home:
        server = start_embedded(Path(home))
        yield server
        server.stop()


@pytest.fixture
def database_url(postgres: EmbeddedPostgres) -> str:
    """The URL of a database of the test's own."""
    return postgres.url(f"tao_{secrets.token_hex(6)}")


@dataclass(frozen=True)
class JudgedTurn:
    """A turn with a candidate, its scores and its report: what gate and register find."""

    run: Run

    @property
    def folder(self) -> Path:
        """The run's artifacts."""
        return self.run.lake.artifacts(self.run.turn, self.run.run_id)

    def again(self, run_id: str) -> "JudgedTurn":
        """The same turn, attempted by another run."""
        return JudgedTurn(replace(self.run, run_id=run_id))

    def evaluate(
        self,
        champion: Sequence[float],
        candidate: Sequence[float],
        *,
        versions: tuple[str, str] = ("base", "cand"),
        champion_version: int = 0,
        **facts: Any,
    ) -> None:
        """Stand in for update and evaluate: the two models' scores on the same items, the manifest, the report."""
        models = [{"model_version": v, "path": str(self.folder / v), **FACTS} for v in versions]
        models[1] |= facts
        Path(models[1]["path"]).mkdir(parents=True, exist_ok=True)
        write_json(self.folder / "candidate.json", _manifest(models, champion_version))
        rows = [
            row
            for arm, model, scores in zip(("champion", "candidate"), versions, (champion, candidate), strict=True)
            for row in _rows(arm, model, scores)
        ]
        self.run.lake.write(EVALUATIONS, rows, turn=self.run.turn, run_id=self.run.run_id)
        champion_entry = {**models[0], "version": champion_version}
        write_json(
            self.folder / "report.json",
            {
                "flywheel": self.run.flywheel.name,
                "turn": self.run.turn.key,
                "run_id": self.run.run_id,
                "champion": champion_entry,
                "candidate": {**models[1], "version": None},
                "prompt_digests": {"tickets": "prompt"},
                "decoding_digests": {"tickets": "greedy"},
                "engine": "fake",
                "benchmarks": [_line(champion, candidate)],
            },
        )


@pytest.fixture
def new_turn(tmp_path: Path, database_url: str) -> Callable[..., JudgedTurn]:
    """Makes turns of one flywheel, in one lake."""
    name = f"tickets_{secrets.token_hex(4)}"
    settings = Settings(
        home=tmp_path,
        cache=tmp_path / "cache",
        lake=str(tmp_path / "lake"),
        database_url=database_url,
        include=tmp_path / "include",
        hash_key="k",
    )

    def make(day: int = 21, run_id: str = "manual__1") -> JudgedTurn:
        start = datetime(2026, 11, day, tzinfo=UTC)
        turn = Turn(name, start, start + timedelta(days=1))
        lake = open_lake(settings.lake)
        return JudgedTurn(Run(_flywheel(name), turn, run_id, lake, settings, database_url, say=lambda line: None))

    return make


def _flywheel(name: str) -> Flywheel:
    task = {
        "prompt": "p.txt",
        "expectations": "e.json",
        "strategies": [{"name": "plain", "samples": 1}],
        "scorers": [{"name": "strict_json", "keys": ["city"]}],
        "benchmarks": [{"name": "tickets", "path": "b", "primary": True}],
    }
    return Flywheel.model_validate({"name": name, "sources": [{"path": "x"}], "tasks": {"tickets": task}})


def _manifest(models: Sequence[Mapping[str, Any]], champion_version: int) -> dict[str, Any]:
    return {
        **models[1],
        "base": {"version": champion_version, "model_version": models[0]["model_version"]},
        "method": "raft",
        "hyperparameters": {"epochs": 3, "learning_rate": 1e-3},
        "rows": 20,
        "seed": 7,
        "metrics": {"loss": 0.5, "tokens": 1000},
    }


def _rows(arm: str, model_version: str, scores: Sequence[float]) -> list[dict[str, Any]]:
    return [
        {
            "model_version": model_version,
            "arm": arm,
            "prompt_digest": "prompt",
            "decoding_digest": "greedy",
            "engine": "fake",
            "benchmark": "tickets",
            "benchmark_version": "v1",
            "item_id": f"i{number}",
            "score": score,
            "output": "",
        }
        for number, score in enumerate(scores)
    ]


def _line(champion: Sequence[float], candidate: Sequence[float]) -> dict[str, Any]:
    n = len(champion)
    means = {
        "champion": sum(champion) / n,
        "control": None,
        "candidate": sum(s for s in candidate if not math.isnan(s)) / n,
    }
    return {
        "name": "tickets",
        "version": "v1",
        "task": "tickets",
        "metric": "exact_json",
        "primary": True,
        "n": n,
        **means,
        "delta": 0.0,
        "p_value": 0.5,
    }
