"""From a version back to its rows, and from a row forward to all that was made of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tao_ops.database import connect
from tao_ops.errors import DataError, RegistryError
from tao_ops.files import write_json
from tao_ops.registry import EventKind, record
from tao_ops.stages import Stage
from tao_ops.tables import CLUSTERS, ERASURES, QUARANTINE, QUERIES
from tao_ops.views.lineage import backward, forward
from tao_ops.views.models import Recorded

Days = Callable[..., Any]
NAME, NOWHERE = "tickets", "postgresql://127.0.0.1:1/tao"


@dataclass
class Registered:
    """Makes candidates of runs, and gives them versions in the record of champions alone: MLflow has none."""

    url: str
    versions: int = 0
    models: dict[int, str] = field(default_factory=dict)

    def train(self, day: Any, *queries: str, base: tuple[int, str] = (0, "base"), registered: bool = True) -> Path:
        """A candidate that was trained on the first response to each query."""
        name = f"{day.run_id}-{day.turn.start:%d}"
        folder: Path = day.folder / f"candidate-{name}"
        folder.mkdir()
        rows = [
            {
                **{"turn": day.key, "query_id": query, "response_id": f"{query}:plain:0", "role": "chosen"},
                **{"reward": 0.9, "copies": 2, "response": f"RE {query}"},
                "messages": [{"role": "user", "content": f"TEXT {query}"}],
            }
            for query in queries
        ]
        pq.write_table(pa.Table.from_pylist(rows), folder / "training_rows.parquet")
        held = {table: {"version": 3, "rows": 2, "digest": f"digest of {table}"} for table in ("queries", "prompts")}
        lineage = {"turns": [day.key], "rows": {day.key: held}, "config_digest": "cfg", "prompts": {"tickets": "p1"}}
        manifest = {
            **{"model_version": f"model-{name}", "path": "/elsewhere", "architecture": "Tiny", "parameters": 10},
            **{"dtype": "BF16", "method": "raft", "hyperparameters": {}, "seed": 7, "rows": len(rows)},
            **{"turn": day.key, "run_id": day.run_id, "lineage": lineage},
            "base": {"version": base[0], "model_version": base[1]},
        }
        write_json(folder / "manifest.json", manifest)
        if registered:
            self.versions += 1
            why = f"turn {day.key}: promote"
            about: dict[str, Any] = {"champions": (0, 0), "version": self.versions}
            with connect(self.url) as connection:
                record.ensure_tables(connection)
                record.add(connection, NAME, EventKind.REGISTERED, who=f"run {day.run_id}", why=why, **about)
        return folder


@pytest.fixture
def registry(database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Registered:
    """A record of champions, of no version yet."""
    monkeypatch.setenv("TAO_HOME", str(tmp_path))
    return Registered(database_url)


@pytest.fixture
def day(days: Days) -> Any:
    """A turn with three queries, two of which have responses."""
    day = days(21)
    day.record(Stage.SCORE)
    day.ask({"a": "TEXT a", "b": "TEXT b", "c": "TEXT c"}, counts={"a": 3})
    day.answer([("a", "plain", 0.9), ("a", "worked", 0.4), ("b", "plain", None)])
    return day


def test_a_version_leads_back_to_the_rows_that_it_was_trained_on(registry: Registered, day: Any) -> None:
    registry.train(day, "a", "b")
    seen = backward(day.lake, registry.url, NAME, 1)
    assert (seen.version, seen.model_version, seen.turn, seen.run_id) == (1, "model-run-1-21", day.key, "run-1")
    assert (seen.method, seen.seed, seen.rows_trained, seen.rows_left) == ("raft", 7, 2, 2)
    assert [(row.query_id, row.response_id, row.strategy) for row in seen.rows.items] == [
        ("a", "a:plain:0", "plain"),
        ("b", "b:plain:0", "plain"),
    ]
    first = seen.rows.items[0]
    assert (first.turn, first.role, first.reward, first.copies) == (day.key, "chosen", 0.9, 2)
    assert (first.text, first.response) == ("TEXT a", "RE a")


def test_a_version_tells_the_digests_of_what_it_was_made_of(registry: Registered, day: Any) -> None:
    registry.train(day, "a")
    seen = backward(day.lake, registry.url, NAME, 1)
    assert [(one.table, one.rows, one.digest, one.table_version) for one in seen.sources] == [
        ("queries", 2, "digest of queries", 3),
        ("prompts", 2, "digest of prompts", 3),
    ]
    assert {one.name: one.value for one in seen.facts} == {
        "digest of the configuration": "cfg",
        "digest of the prompt of tickets": "p1",
    }
    assert [event.kind for event in seen.events] == ["registered"]
    assert seen.why_not_replayable is not None and "no recipe" in seen.why_not_replayable


def test_rows_come_page_by_page(registry: Registered, day: Any) -> None:
    registry.train(day, "a", "b", "c")
    pages = [backward(day.lake, registry.url, NAME, 1, page=number, size=2).rows for number in (1, 2, 3)]
    assert [[row.query_id for row in page.items] for page in pages] == [["a", "b"], ["c"], []]
    assert {(page.total, page.pages) for page in pages} == {(3, 2)}


def test_a_version_tells_the_versions_that_it_was_trained_from(registry: Registered, days: Days, day: Any) -> None:
    registry.train(day, "a")
    registry.train(days(22), "a", base=(1, "model-run-1-21"))
    seen = backward(day.lake, registry.url, NAME, 2)
    assert [(one.version, one.model_version, one.turn, one.rows) for one in seen.bases] == [
        (1, "model-run-1-21", day.key, 1),
        (0, "base", None, None),
    ]


def test_rows_that_are_lost_are_told_and_the_rest_is_shown(registry: Registered, day: Any) -> None:
    folder = registry.train(day, "a")
    (folder / "training_rows.parquet").unlink()
    seen = backward(day.lake, registry.url, NAME, 1)
    assert (seen.rows_trained, seen.rows_left, seen.rows_intact, seen.rows.items) == (1, None, False, ())


def test_what_is_no_version_is_refused_with_a_way_on(registry: Registered, day: Any) -> None:
    registry.train(day, "a")
    with pytest.raises(DataError, match="tickets has no version 7.*numbered from 1 to 1"):
        backward(day.lake, registry.url, NAME, 7)
    with pytest.raises(DataError, match="was made by no turn: 0 is the base model"):
        backward(day.lake, registry.url, NAME, 0)
    with pytest.raises(RegistryError, match="no connection to PostgreSQL"):
        backward(day.lake, NOWHERE, NAME, 1)


def test_a_run_that_made_several_candidates_is_left_to_mlflow(
    registry: Registered, day: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.train(day, "a")
    other = day.folder / "candidate-other"
    other.mkdir()
    write_json(other / "manifest.json", {"model_version": "other", "turn": day.key, "run_id": "run-1", "base": {}})
    asked: list[int] = []

    def mlflow(self: Recorded, version: int) -> dict[str, Any]:
        asked.append(version)
        raise RegistryError("MLflow was asked")

    monkeypatch.setattr("tao_ops.lineage.versions.Manifests.of", mlflow)
    with pytest.raises(RegistryError, match="MLflow was asked"):
        backward(day.lake, registry.url, NAME, 1)
    assert asked == [1]


def test_a_query_leads_forward_to_its_turns_and_versions(registry: Registered, days: Days, day: Any) -> None:
    registry.train(day, "a", "b")
    later = days(22)
    registry.train(later, "c", base=(1, "model-run-1-21"))
    registry.train(days(23), "c")
    registry.train(days(24, run_id="run-4"), "a", registered=False)
    seen = forward(day.lake, registry.url, NAME, "a")
    assert (seen.query_id, seen.named, seen.split, seen.erased) == ("a", "a", "train", ())
    (turn,) = seen.turns
    assert (turn.turn, turn.logged, turn.request_ids) == (day.key, 1, ("request-a",))
    assert (turn.task, turn.split, turn.cluster, turn.count) == ("tickets", "train", "cluster-a", 3)
    assert (turn.responses, turn.best, turn.refused) == (2, 0.9, {})
    # The second was trained on no row of it, but from a model that was; what the 24th trained on is of that day.
    assert [(one.version, one.model_version, one.rows) for one in seen.versions] == [
        (1, "model-run-1-21", 1),
        (2, "model-run-1-22", 0),
    ]


def test_a_candidate_that_was_never_registered_is_reached_too(registry: Registered, day: Any) -> None:
    registry.train(day, "a", registered=False)
    (one,) = forward(day.lake, registry.url, NAME, "a").versions
    assert (one.version, one.model_version, one.run_id, one.rows) == (None, "model-run-1-21", "run-1", 1)


def test_a_request_is_found_by_its_id(registry: Registered, day: Any) -> None:
    seen = forward(day.lake, registry.url, NAME, "request-b")
    assert (seen.named, seen.query_id, seen.turns[0].responses, seen.turns[0].best) == ("request-b", "b", 1, None)
    assert seen.versions == ()


def test_a_query_that_was_kept_away_tells_why(registry: Registered, day: Any) -> None:
    refused = {"source": "shop", "position": "request-c", "reason": "expectation"}
    other = {"source": "shop", "position": "request-other", "reason": "benchmark_item"}
    day.lake.write(QUARANTINE, [refused, other], stage="validate", **day.where)
    assert forward(day.lake, registry.url, NAME, "c").turns[0].refused == {"expectation": 1}


def test_what_is_left_of_an_expired_query_is_told(registry: Registered, days: Days) -> None:
    day = days()
    day.record(Stage.INGEST)
    seen_first = {"task": "tickets", "query_id": "old", "cluster": "c", "split": "holdout", "signature": b""}
    day.lake.write(CLUSTERS, [seen_first], **day.where)
    seen = forward(day.lake, registry.url, NAME, "old")
    (turn,) = seen.turns
    assert (seen.split, turn.turn, turn.logged, turn.task, turn.best) == ("holdout", day.key, 0, None, None)


def test_a_turn_whose_queries_have_expired_is_not_forgotten(registry: Registered, days: Days, day: Any) -> None:
    later = days(22)
    later.ask({"a": "TEXT a"})
    day.lake.delete(QUERIES, turn=day.turn)
    seen = forward(day.lake, registry.url, NAME, "a")
    assert [(one.turn[8:10], one.logged, one.count, one.responses) for one in seen.turns] == [
        ("21", 0, 3, 2),
        ("22", 1, 1, 0),
    ]


def test_an_erased_query_tells_when(registry: Registered, day: Any) -> None:
    row = {"flywheel": NAME, "user_hash": None, "query_id": "gone", "erased_at": day.turn.start, "models": []}
    day.lake.append(ERASURES, [row])
    seen = forward(day.lake, registry.url, NAME, "gone")
    assert (seen.erased, seen.turns, seen.versions) == (("2026-11-21T00:00:00Z",), (), ())


def test_an_unknown_row_is_refused_with_a_way_on(registry: Registered, day: Any) -> None:
    with pytest.raises(DataError, match='knows no query and no request "it\'s".*it may have expired'):
        forward(day.lake, registry.url, NAME, "it's")
    with pytest.raises(DataError, match="no turn of flywheel 'others'"):
        forward(day.lake, registry.url, "others", "a")
