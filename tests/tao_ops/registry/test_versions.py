"""Versions in a real MLflow, and a champion that moves only as told, with its history."""

import os
import secrets
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tao_ops.database import connect, sibling_url, with_driver
from tao_ops.errors import RegistryError
from tao_ops.files import write_json
from tao_ops.models import ModelFacts
from tao_ops.records import ModelRef
from tao_ops.registry import ChampionEvent, ChampionMoved, EventKind, Registry, Submission, champion
from tao_ops.settings import PROJECT


@pytest.fixture
def flywheel() -> str:
    # MLflow's tables are shared by the tests of a session; a name of its own keeps each test's versions apart.
    return f"tickets_{secrets.token_hex(4)}"


@pytest.fixture
def registry(database_url: str, tmp_path: Path) -> Registry:
    return Registry(database_url, tmp_path / "mlflow-artifacts")


def _moves(registry: Registry, flywheel: str) -> list[ChampionEvent]:
    return [event for event in registry.events(flywheel) if event.kind in (EventKind.PROMOTE, EventKind.ROLLBACK)]


def _submission(flywheel: str, tmp_path: Path, run_id: str = "r1", **changes: object) -> Submission:
    candidate = {
        "model_version": "c1",
        "path": str(tmp_path / run_id / "candidate"),
        "architecture": "LlamaForCausalLM",
        "parameters": 100,
        "dtype": "BF16",
        "base": {"version": 0, "model_version": "b0"},
        "method": "raft",
        "hyperparameters": {"epochs": 3},
        "rows": 20,
        "seed": 7,
        "metrics": {"loss": 0.5, "note": "text", "bad": float("nan")},
        **changes,
    }
    report = {"benchmarks": [{"name": "tickets", "champion": 0.1, "control": None, "candidate": 0.5, "delta": 0.4}]}
    verdict = {"decision": "promote", "reasons": ["better"]}
    return Submission(
        flywheel, "2026-11-21T00:00Z", run_id, candidate, report, verdict, str(tmp_path / "candidate.json")
    )


def _with_pictures(submission: Submission, folder: Path, **pictures: bytes) -> Submission:
    for name, picture in pictures.items():
        (folder / f"{name}.png").write_bytes(picture)
    paths = [str(folder / f"{name}.png") for name in pictures]
    return replace(submission, pictures=paths, rewards={"reward.tickets.labels": float(len(paths))})


def _mlflow(database_url: str):  # type: ignore[no-untyped-def]
    from mlflow.tracking import MlflowClient

    uri = with_driver(sibling_url(database_url, "mlflow"), "psycopg")
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def test_a_version_carries_what_made_it(registry: Registry, database_url: str, flywheel: str, tmp_path: Path) -> None:
    assert registry.register(_submission(flywheel, tmp_path)) == 1
    assert registry.facts(flywheel, 1) == ModelFacts("c1", "LlamaForCausalLM", 100, "BF16")
    client = _mlflow(database_url)
    version = client.get_model_version(flywheel, "1")
    expected = {
        "tao.turn": "2026-11-21T00:00Z",
        "tao.run_id": "r1",
        "tao.verdict": "promote",
        "tao.model_version": "c1",
        "tao.base_version": "0",
        "tao.lineage": str(tmp_path / "candidate.json"),
    }
    assert expected.items() <= version.tags.items()
    assert version.source == str(tmp_path / "r1" / "candidate")
    run = client.get_run(version.run_id)
    assert run.data.params == {
        "method": "raft",
        "seed": "7",
        "rows": "20",
        "base_version": "0",
        "epochs": "3",
    }
    assert run.data.metrics == {
        "loss": 0.5,
        "tickets.champion": 0.1,
        "tickets.candidate": 0.5,
        "tickets.delta": 0.4,
    }
    assert {found.path for found in client.list_artifacts(version.run_id)} == {"report.json", "verdict.json"}
    assert client.get_experiment(run.info.experiment_id).name == flywheel


def test_pictures_and_figures_of_the_rewards_are_replaced_when_the_run_is_done_again(
    registry: Registry, database_url: str, flywheel: str, tmp_path: Path
) -> None:
    client, submission = _mlflow(database_url), _submission(flywheel, tmp_path)
    # The first try is before there was a picture, the others redraw one and add another.
    registry.register(submission)
    registry.register(_with_pictures(submission, tmp_path, exploration=b"first"))
    assert registry.register(_with_pictures(submission, tmp_path, exploration=b"second", reliability=b"new")) == 1
    (run,) = client.search_runs([client.get_experiment_by_name(flywheel).experiment_id])
    found = [each.path for each in client.list_artifacts(run.info.run_id, "pictures")]
    assert found == ["pictures/exploration.png", "pictures/reliability.png"]
    kept = client.download_artifacts(run.info.run_id, "pictures/exploration.png", str(tmp_path))
    assert Path(kept).read_bytes() == b"second"
    assert run.data.metrics["reward.tickets.labels"] == 2.0


def test_a_retry_gets_the_same_version_and_another_run_another(
    registry: Registry, database_url: str, flywheel: str, tmp_path: Path
) -> None:
    assert registry.register(_submission(flywheel, tmp_path)) == 1
    assert registry.register(_submission(flywheel, tmp_path)) == 1
    assert registry.register(_submission(flywheel, tmp_path, "scheduled__2026-11-22T00:00:00+00:00")) == 2
    assert registry.register(_submission(flywheel, tmp_path, model_version="c2")) == 3
    assert registry.version_of(flywheel, run_id="r1", model_version="c1") == 1
    assert registry.version_of(flywheel, run_id="r9", model_version="c1") is None
    client = _mlflow(database_url)
    experiment = client.get_experiment_by_name(flywheel)
    assert len(client.search_runs([experiment.experiment_id])) == 3


def test_a_try_that_died_half_way_is_finished_not_doubled(
    registry: Registry, database_url: str, flywheel: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.tracking import MlflowClient

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    for step in ("log_dict", "create_model_version"):
        with monkeypatch.context() as broken:
            broken.setattr(MlflowClient, step, die)
            with pytest.raises(KeyboardInterrupt):
                registry.register(_submission(flywheel, tmp_path))
    assert registry.register(_submission(flywheel, tmp_path)) == 1
    client = _mlflow(database_url)
    runs = client.search_runs([client.get_experiment_by_name(flywheel).experiment_id])
    assert [run.info.status for run in runs] == ["FINISHED"]


def test_the_champion_moves_by_compare_and_set_and_each_move_is_told(
    registry: Registry, database_url: str, flywheel: str, tmp_path: Path
) -> None:
    assert registry.champion(flywheel) is None
    for run_id in ("r1", "r2"):
        registry.register(_submission(flywheel, tmp_path, run_id))
    registry.promote(flywheel, 1, expected_champion=0, who="gate, run r1", why="better by 40 points")
    assert champion(database_url, flywheel) == ModelRef(str(tmp_path / "r1" / "candidate"), "c1", 1)
    with pytest.raises(ChampionMoved, match="is version 1, not 0"):
        registry.promote(flywheel, 2, expected_champion=0, who="gate, run r2", why="better")
    assert registry.champion_version(flywheel) == 1
    registry.promote(flywheel, 2, expected_champion=1, who="gate, run r2", why="better still")
    registry.rollback(flywheel, 0, expected_champion=2, who="ana", why="rolled back")
    told = [(e.kind, e.who, e.why, e.from_version, e.to_version) for e in _moves(registry, flywheel)]
    assert told == [
        (EventKind.PROMOTE, "gate, run r1", "better by 40 points", 0, 1),
        (EventKind.PROMOTE, "gate, run r2", "better still", 1, 2),
        (EventKind.ROLLBACK, "ana", "rolled back", 2, 0),
    ]
    assert registry.champion(flywheel) is None
    assert _mlflow(database_url).get_registered_model(flywheel).aliases == {}


def test_of_many_promotions_at_once_one_wins(registry: Registry, flywheel: str, tmp_path: Path) -> None:
    versions = [registry.register(_submission(flywheel, tmp_path, f"r{i}")) for i in range(4)]
    outcomes: list[object] = []

    def promote(version: int) -> None:
        try:
            registry.promote(flywheel, version, expected_champion=0, who="t", why="w")
            outcomes.append(version)
        except ChampionMoved as error:
            outcomes.append(error)

    threads = [threading.Thread(target=promote, args=[version]) for version in versions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    winners = [o for o in outcomes if isinstance(o, int)]
    assert len(outcomes) == 4 and len(winners) == 1
    assert registry.champion_version(flywheel) == winners[0]
    assert [event.to_version for event in _moves(registry, flywheel)] == winners


@pytest.mark.parametrize("by_hand", ["moved", "removed"])
def test_an_alias_moved_by_hand_is_put_back_and_told(
    registry: Registry, database_url: str, flywheel: str, tmp_path: Path, by_hand: str
) -> None:
    for run_id in ("r1", "r2"):
        registry.register(_submission(flywheel, tmp_path, run_id))
    registry.promote(flywheel, 1, expected_champion=0, who="t", why="w")
    client = _mlflow(database_url)
    assert client.get_registered_model(flywheel).aliases == {"champion": 1, "candidate": 2}
    if by_hand == "moved":
        client.set_registered_model_alias(flywheel, "champion", "2")
    else:
        client.delete_registered_model_alias(flywheel, "champion")
    found = registry.champion(flywheel)
    assert found is not None and found.version == 1
    assert client.get_registered_model(flywheel).aliases == {"champion": 1, "candidate": 2}
    last = registry.events(flywheel)[-1]
    assert (last.kind, last.from_version, last.to_version) == (EventKind.ALIAS_REPAIRED, 1, 1)
    assert registry.repair_aliases(flywheel) is False


def test_the_other_aliases_follow_the_record_too(
    registry: Registry, database_url: str, flywheel: str, tmp_path: Path
) -> None:
    client = _mlflow(database_url)

    def aliases() -> dict[str, int]:
        return {name: int(version) for name, version in client.get_registered_model(flywheel).aliases.items()}

    for run_id in ("r1", "r2", "r3"):
        registry.register(_submission(flywheel, tmp_path, run_id))
    registry.promote(flywheel, 1, expected_champion=0, who="t", why="w")
    assert aliases() == {"champion": 1, "candidate": 3}
    registry.promote(flywheel, 3, expected_champion=1, who="t", why="w")
    assert aliases() == {"champion": 3, "previous": 1}
    client.set_registered_model_alias(flywheel, "previous", "2")
    client.set_registered_model_alias(flywheel, "ours", "2")
    assert registry.repair_aliases(flywheel) is True
    assert aliases() == {"champion": 3, "previous": 1, "ours": 2}
    assert "previous was on version 2, it belongs on version 1" in registry.events(flywheel)[-1].why
    # Who restored the first one wants neither the one that was taken back nor an older one than there was.
    registry.rollback(flywheel, 1, expected_champion=3, who="ana", why="complaints")
    assert aliases() == {"champion": 1, "ours": 2}
    assert registry.previous(flywheel) == 0
    # A version that was deleted in MLflow can be no alias's; that is no error unless it is the champion.
    registry.register(_submission(flywheel, tmp_path, "r4"))
    client.delete_model_version(flywheel, "4")
    assert registry.repair_aliases(flywheel) is False


def test_a_month_counts_the_candidates_tested_against_one_champion(registry: Registry, flywheel: str) -> None:
    late = datetime(2026, 11, 30, 23, 30, tzinfo=UTC)

    def number(candidate: str, champion: int = 0, at: datetime = late, timezone: str = "UTC") -> int:
        return registry.test_number(flywheel, champion=champion, candidate=candidate, at=at, timezone=timezone)

    assert [number(one) for one in ("a", "b", "a", "c")] == [1, 2, 1, 3]
    assert number("b", champion=1) == 1
    # In Berlin it is December already.
    assert [number(one, timezone="Europe/Berlin") for one in ("c", "a")] == [1, 2]
    assert number("a", at=late + timedelta(hours=1)) == 2
    with pytest.raises(ValueError, match="zone"):
        number("a", at=datetime(2026, 11, 30))


def test_tests_that_are_counted_at_once_get_a_number_each(database_url: str, flywheel: str, tmp_path: Path) -> None:
    start, found = threading.Barrier(12), []

    def count(candidate: str) -> None:
        mine = Registry(database_url, tmp_path)
        start.wait(60)
        at = datetime(2026, 11, 21, tzinfo=UTC)
        found.append(
            (candidate, mine.test_number(flywheel, champion=0, candidate=candidate, at=at, timezone="Europe/Berlin"))
        )

    threads = [threading.Thread(target=count, args=[f"c{n % 6}"]) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 12
    assert len(set(found)) == 6 and sorted(number for _, number in set(found)) == [1, 2, 3, 4, 5, 6]


def test_a_promotion_that_died_before_its_commit_leaves_the_champion(
    registry: Registry, database_url: str, flywheel: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.register(_submission(flywheel, tmp_path))
    original = registry._versions.set_alias

    def die_after(name: str, alias: str, version: int) -> None:
        original(name, alias, version)
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(registry._versions, "set_alias", die_after)
        with pytest.raises(KeyboardInterrupt):
            registry.promote(flywheel, 1, expected_champion=0, who="t", why="w")
    assert registry.champion_version(flywheel) == 0
    assert registry.repair_aliases(flywheel) is True
    assert _mlflow(database_url).get_registered_model(flywheel).aliases == {"candidate": 1}


def test_a_version_that_is_not_there_cannot_be_promoted(
    registry: Registry, database_url: str, flywheel: str, tmp_path: Path
) -> None:
    with pytest.raises(RegistryError, match="no version 5"):
        registry.promote(flywheel, 5, expected_champion=0, who="t", why="w")
    registry.register(_submission(flywheel, tmp_path))
    registry.promote(flywheel, 1, expected_champion=0, who="t", why="w")
    _mlflow(database_url).delete_model_version(flywheel, "1")
    with pytest.raises(RegistryError, match=f"version 1 of {flywheel}"):
        registry.champion(flywheel)


def test_a_registry_that_is_down_is_one_line(tmp_path: Path) -> None:
    away = Registry("postgresql://tao@127.0.0.1:1/tao", tmp_path)
    for ask in (lambda: away.champion("x"), lambda: away.register(_submission("x", tmp_path))):
        with pytest.raises(RegistryError, match="no connection to PostgreSQL") as caught:
            ask()
        assert "\n" not in str(caught.value)


def test_a_deleted_experiment_is_restored(registry: Registry, database_url: str, flywheel: str, tmp_path: Path) -> None:
    registry.register(_submission(flywheel, tmp_path))
    client = _mlflow(database_url)
    client.delete_experiment(client.get_experiment_by_name(flywheel).experiment_id)
    assert registry.register(_submission(flywheel, tmp_path, "r2")) == 2
    assert client.get_experiment_by_name(flywheel).lifecycle_stage == "active"


def test_the_lock_lets_one_decide_at_a_time(
    registry: Registry, database_url: str, flywheel: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tao_ops.registry.versions._LOCK_SECONDS", 0.2)
    other = Registry(database_url, tmp_path)
    with registry.lock(flywheel):
        with pytest.raises(RegistryError, match="waited"), other.lock(flywheel):
            pass
        with other.lock("another"), connect(database_url) as connection:
            row = connection.execute("select count(*) as n from pg_locks where locktype = 'advisory'").fetchone()
            assert row is not None and row["n"] >= 2
    with other.lock(flywheel):
        assert registry.champion_version(flywheel) == 0


def test_two_processes_make_the_first_tables_of_mlflow_at_once(tmp_path: Path) -> None:
    from tao_ops.database import start_embedded

    script = (
        "import json, sys; from pathlib import Path; from tao_ops.registry import Registry, Submission;"
        "value = json.load(open(sys.argv[2])); value['run_id'] = sys.argv[3];"
        "print('version', Registry(sys.argv[1], Path(sys.argv[2]).parent).register(Submission(**value)))"
    )
    server = start_embedded(tmp_path)
    try:
        write_json(tmp_path / "s.json", {**_plain(_submission("tickets", tmp_path, metrics={}))})
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", script, server.url("tao"), str(tmp_path / "s.json"), run_id],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONPATH": str(PROJECT)},
            )
            for run_id in ("r1", "r2")
        ]
        ends = [process.communicate(timeout=120) for process in processes]
    finally:
        server.stop()
    assert [err for _, err in ends] == ["", ""]
    assert sorted(out.strip() for out, _ in ends) == ["version 1", "version 2"]


def _plain(submission: Submission) -> dict[str, object]:
    return {name: getattr(submission, name) for name in submission.__dataclass_fields__}
