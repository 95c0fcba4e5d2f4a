"""Every candidate gets a version; the champion moves only on promote, and once, whatever dies in between."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tao_ops.config import Approval, CanaryConfig, GateConfig, ServeConfig
from tao_ops.database import sibling_url, with_driver
from tao_ops.errors import MissingInput, ModelError
from tao_ops.files import read_json
from tao_ops.registry import Answer, EventKind, Registry, open_registry
from tao_ops.registry.record import TIME_LIMIT
from tao_ops.settings import PROJECT
from tao_ops.stages import gate, register
from tao_ops.tables import EVALUATIONS, TURNS

LOW, MIDDLE, HIGH = ([1.0] * right + [0.0] * (100 - right) for right in (3, 50, 80))
NewTurn = Callable[..., Any]


def _mlflow(database_url: str) -> Any:
    from mlflow.tracking import MlflowClient

    uri = with_driver(sibling_url(database_url, "mlflow"), "psycopg")
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def _registry(judged: Any) -> Registry:
    return open_registry(judged.run.database_url, judged.run.settings)


def _promotions(judged: Any) -> list[int]:
    history = _registry(judged).events(judged.run.flywheel.name)
    return [event.to_version for event in history if event.kind is EventKind.PROMOTE]


def test_a_promoted_candidate_is_the_champion(new_turn: NewTurn) -> None:
    judged = new_turn()
    judged.evaluate(LOW, HIGH)
    gate.run(judged.run)
    name = judged.run.flywheel.name
    report = register.run(judged.run)
    assert report.metrics == {"model": name, "version": 1, "alias": "champion", "decision": "promote", "pending": False}
    champion = _registry(judged).champion(name)
    assert champion is not None
    assert (champion.version, champion.model_version, champion.path) == (
        1,
        "cand",
        str(judged.folder / "cand"),
    )
    _, event = _registry(judged).events(name)
    assert event.who == "gate, run manual__1" and "+77.0 points" in event.why


def test_mlflow_shows_the_runs_pictures_and_how_good_its_rewards_were(new_turn: NewTurn) -> None:
    judged = new_turn()
    judged.evaluate(LOW, HIGH)
    gate.run(judged.run)
    for name in ("reliability-tickets-0.png", "exploration-0.png", "notes.txt"):
        (judged.folder / name).write_bytes(b"drawn")
    (judged.folder / "data_docs").mkdir()
    (judged.folder / "data_docs" / "other.png").write_bytes(b"drawn")
    for shard, (n, auroc) in enumerate([(30, 0.9), (10, 0.5)]):
        report = {"n": n, "labels": {"anchor": n}, "auroc": {"value": auroc, "low": 0.4, "high": 1.0}}
        told = {"version": "v", "calibrator": None, "reason": "few", "report": report}
        row = {column: None for column in TURNS.schema.names}
        row["metrics"] = json.dumps({"calibration": {"tickets": told}})
        lake, turn = judged.run.lake, judged.run.turn
        lake.write(TURNS, [row], turn=turn, run_id=judged.run.run_id, stage="score", shard=shard)
    version = register.run(judged.run).metrics["version"]
    client = _mlflow(judged.run.database_url)
    logged = client.get_model_version(judged.run.flywheel.name, str(version)).run_id
    assert [each.path for each in client.list_artifacts(logged, "pictures")] == [
        "pictures/exploration-0.png",
        "pictures/reliability-tickets-0.png",
    ]
    metrics = client.get_run(logged).data.metrics
    assert {name: value for name, value in metrics.items() if name.startswith("reward.")} == {
        "reward.tickets.labels": 20.0,
        "reward.tickets.auroc": pytest.approx(0.8),
    }


def test_a_rejected_candidate_gets_its_version_and_nothing_moves(new_turn: NewTurn) -> None:
    judged = new_turn()
    judged.evaluate(HIGH, LOW)
    gate.run(judged.run)
    report = register.run(judged.run)
    assert report.metrics["version"] == 1
    assert (report.metrics["alias"], report.metrics["decision"]) == (None, "reject")
    assert _registry(judged).champion(judged.run.flywheel.name) is None
    (event,) = _registry(judged).events(judged.run.flywheel.name)
    assert (event.kind, event.version, event.to_version) == (EventKind.REGISTERED, 1, 0)


def test_running_it_again_changes_nothing_and_another_run_makes_a_version(new_turn: NewTurn) -> None:
    judged = new_turn()
    judged.evaluate(LOW, HIGH)
    gate.run(judged.run)
    first = register.run(judged.run).metrics
    assert register.run(judged.run).metrics == first
    again = judged.again("manual__2")
    again.evaluate(HIGH, HIGH, versions=("cand", "cand2"), champion_version=1)
    gate.run(again.run)
    second = register.run(again.run).metrics
    assert (second["version"], second["alias"], second["decision"]) == (2, None, "undecided")
    assert _registry(judged).champion_version(judged.run.flywheel.name) == 1
    assert _promotions(judged) == [1]


@pytest.mark.parametrize("scores", [(MIDDLE, "reject", 1), (HIGH, "promote", 2)])
def test_a_champion_that_moved_is_decided_against_again(
    new_turn: NewTurn, scores: tuple[list[float], str, int]
) -> None:
    late, decision, champion = scores
    # Both turns were judged against the base model; the first to register wins with 65 right of 100.
    first, second = new_turn(20), new_turn(21)
    first.evaluate(LOW, [1.0] * 65 + [0.0] * 35)
    second.evaluate(LOW, late, versions=("base", "late"))
    for judged in (first, second):
        assert gate.run(judged.run).metrics["decision"] == "promote"
    register.run(first.run)
    said: list[str] = []
    report = register.run(replace(second.run, say=said.append))
    assert report.metrics["decision"] == decision
    assert report.metrics["version"] == 2
    assert _registry(first).champion_version(first.run.flywheel.name) == champion
    assert any("moved from version 0 to 1" in line for line in said)


def test_a_new_champion_without_scores_sends_back_to_evaluate(new_turn: NewTurn) -> None:
    first, second = new_turn(20), new_turn(21)
    first.evaluate(LOW, MIDDLE)
    second.evaluate(LOW, HIGH, versions=("base", "late"))
    for judged in (first, second):
        gate.run(judged.run)
    register.run(first.run)
    first.run.lake.write(EVALUATIONS, [], turn=first.run.turn, run_id=first.run.run_id)
    with pytest.raises(MissingInput, match="0 of 100 scores of model cand .* run evaluate again"):
        register.run(second.run)
    assert _registry(first).champion_version(first.run.flywheel.name) == 1
    assert _registry(first).version_of(second.run.flywheel.name, run_id="manual__1", model_version="late") is None


def test_where_a_person_has_the_last_word_a_promote_waits(new_turn: NewTurn) -> None:
    judged = new_turn()
    flywheel = judged.run.flywheel.model_copy(update={"gate": GateConfig(approval=Approval.MANUAL)})
    said: list[str] = []
    run, name = replace(judged.run, flywheel=flywheel, say=said.append), flywheel.name
    judged.evaluate(LOW, HIGH)
    gate.run(run)
    for _ in range(2):
        report = register.run(run)
        assert report.metrics == {"model": name, "version": 1, "alias": None, "decision": "promote", "pending": True}
    registry, client = _registry(judged), _mlflow(run.database_url)
    assert registry.champion(name) is None
    assert client.get_model_version(name, "1").tags["tao.approval"] == "pending"
    assert [event.kind for event in registry.events(name)] == [EventKind.REGISTERED, EventKind.PENDING]
    assert any("tao registry promote" in line for line in said)
    # Once it is answered, the stage, run again, asks no more.
    registry.reject(name, 1, who="ana", why="too terse")
    report = register.run(run)
    assert (report.metrics["alias"], report.metrics["pending"]) == (None, False)
    assert registry.versions(name)[0].verdict == "promote"
    assert client.get_model_version(name, "1").tags["tao.approval"] == Answer.REJECTED
    assert "rejected" in said[-1] and "ana" in said[-1]


@pytest.mark.parametrize("approval", list(Approval))
def test_a_dry_run_records_the_verdict_and_leaves_the_champion(new_turn: NewTurn, approval: Approval) -> None:
    judged = new_turn()
    dry = {"dry_run": True, "gate": GateConfig(approval=approval)}
    said: list[str] = []
    run = replace(judged.run, flywheel=judged.run.flywheel.model_copy(update=dry), say=said.append)
    judged.evaluate(LOW, HIGH)
    gate.run(run)
    for _ in range(2):
        metrics = register.run(run).metrics
        assert (metrics["version"], metrics["decision"], metrics["dry_run"]) == (1, "promote", True)
        assert (metrics["alias"], metrics["pending"], metrics.get("canary")) == (None, False, None)
    registry, name = _registry(judged), run.flywheel.name
    assert registry.champion(name) is None and registry.versions(name)[0].verdict == "promote"
    assert [event.kind for event in registry.events(name)] == [EventKind.REGISTERED]
    assert f"tao registry promote {name} 1" in said[-1]
    # Run again for good, the same version becomes the champion.
    assert register.run(judged.run).metrics["alias"] == "champion"


def test_a_dry_run_begins_no_canary(new_turn: NewTurn) -> None:
    judged = new_turn()
    dry = {"dry_run": True, "serve": ServeConfig(canary=CanaryConfig())}
    run = replace(judged.run, flywheel=judged.run.flywheel.model_copy(update=dry))
    judged.evaluate(LOW, HIGH)
    gate.run(run)
    assert "canary" not in register.run(run).metrics
    assert _registry(judged).canary(run.flywheel.name) is None


def test_what_a_person_took_back_stays_back_when_the_stage_runs_again(new_turn: NewTurn) -> None:
    judged = new_turn()
    judged.evaluate(LOW, HIGH)
    gate.run(judged.run)
    register.run(judged.run)
    name = judged.run.flywheel.name
    _registry(judged).rollback(name, 0, expected_champion=1, who="ana", why="complaints")
    report = register.run(judged.run)
    assert report.metrics["alias"] is None
    assert _registry(judged).champion_version(name) == 0


def test_a_no_of_the_run_itself_stands_in_no_later_promotions_way(new_turn: NewTurn) -> None:
    judged = new_turn()
    said: list[str] = []
    run = _manual(judged, said)
    pending = []
    # Evaluated again by hand, the same candidate is better, worse, and better once more.
    for scores in (HIGH, LOW, HIGH):
        judged.evaluate(MIDDLE, scores)
        gate.run(run)
        pending.append(register.run(run).metrics["pending"])
    assert pending == [True, False, True]
    kinds = [event.kind for event in _registry(judged).events(run.flywheel.name)]
    assert kinds == [EventKind.REGISTERED, EventKind.PENDING, EventKind.REJECT, EventKind.PENDING]
    # Where the gate has the last word by now, nobody needs to say no to the question first.
    report = register.run(judged.run)
    assert report.metrics["alias"] == "champion"
    assert _registry(judged).events(run.flywheel.name)[-1].kind is EventKind.PROMOTE
    assert len(_registry(judged).events(run.flywheel.name)) == 5


def test_what_was_settled_keeps_the_verdict_that_it_had(new_turn: NewTurn) -> None:
    judged = new_turn()
    judged.evaluate(HIGH, LOW)
    gate.run(judged.run)
    register.run(judged.run)
    name = judged.run.flywheel.name
    _registry(judged).promote(name, 1, expected_champion=0, who="ana", why="a demonstration")
    report = register.run(judged.run)
    assert (report.metrics["alias"], report.metrics["decision"]) == ("champion", "reject")


def test_what_waited_for_too_long_is_rejected_when_the_next_turn_registers(
    new_turn: NewTurn, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = new_turn(20), new_turn(21)
    said: list[str] = []
    first.evaluate(LOW, HIGH)
    second.evaluate(HIGH, LOW, versions=("base", "late"))
    for judged in (first, second):
        gate.run(_manual(judged, said))
    register.run(_manual(first, said))
    name = first.run.flywheel.name
    short = GateConfig(approval=Approval.MANUAL).model_copy(update={"approval_limit": timedelta(0)})
    run = _manual(second, said)
    register.run(replace(run, flywheel=run.flywheel.model_copy(update={"gate": short})))
    (rejected,) = [e for e in _registry(first).events(name) if e.kind is EventKind.REJECT]
    assert (rejected.version, rejected.who) == (1, TIME_LIMIT)
    assert any(f"version 1 of {name} is rejected: nobody answered within" in line for line in said)


def _manual(judged: Any, said: list[str]) -> Any:
    flywheel = judged.run.flywheel.model_copy(update={"gate": GateConfig(approval=Approval.MANUAL)})
    return replace(judged.run, flywheel=flywheel, say=said.append)


def test_the_models_folder_gets_its_card_which_mlflow_has_too(new_turn: NewTurn) -> None:
    judged = new_turn()
    judged.evaluate(LOW, HIGH)
    gate.run(judged.run)
    register.run(judged.run)
    card = (judged.folder / "cand" / "README.md").read_text(encoding="utf-8")
    assert "| tickets (primary) | exact_json | 100 | 3.0 |" in card and "**promote**" in card
    client = _mlflow(judged.run.database_url)
    logged = client.get_model_version(judged.run.flywheel.name, "1").run_id
    assert "README.md" in {found.path for found in client.list_artifacts(logged)}


@pytest.mark.parametrize("missing", ["candidate.json", "report.json", "verdict.json"])
def test_a_missing_input_names_the_stage_to_run(new_turn: NewTurn, missing: str) -> None:
    judged = new_turn()
    judged.evaluate(LOW, HIGH)
    gate.run(judged.run)
    (judged.folder / missing).unlink()
    stage = {"candidate.json": "update", "report.json": "evaluate", "verdict.json": "gate"}[missing]
    with pytest.raises(MissingInput, match=f"{missing} is missing .* run {stage} first"):
        register.run(judged.run)
    assert _registry(judged).champion_version(judged.run.flywheel.name) == 0


def test_a_verdict_on_another_model_is_refused(new_turn: NewTurn) -> None:
    judged = new_turn()
    judged.evaluate(LOW, HIGH)
    gate.run(judged.run)
    judged.evaluate(LOW, LOW, versions=("base", "trained-again"))
    with pytest.raises(ModelError, match="run evaluate and gate again"):
        register.run(judged.run)


_KILLED = """
import os, signal, sys
from pathlib import Path
from tao_ops import registry
from tao_ops.config import Flywheel
from tao_ops.lake import open_lake
from tao_ops.settings import Settings
from tao_ops.stages import Run, register
from tao_ops.turn import Turn
from datetime import datetime
step, flywheel, url, home, start, end = sys.argv[1:7]
original = getattr(registry.Registry, step)
def then_die(self, *a, **k):
    original(self, *a, **k)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(registry.Registry, step, then_die)
settings = Settings.from_env()
turn = Turn(flywheel, datetime.fromisoformat(start), datetime.fromisoformat(end))
config = Flywheel.model_validate_json(Path(home, "flywheel.json").read_text())
register.run(Run(config, turn, "manual__1", open_lake(settings.lake), settings, url))
"""


@pytest.mark.parametrize("step", ["register", "promote"])
def test_a_retry_after_a_kill_makes_no_second_version(new_turn: NewTurn, tmp_path: Path, step: str) -> None:
    judged = new_turn()
    judged.evaluate(LOW, HIGH)
    gate.run(judged.run)
    run, name = judged.run, judged.run.flywheel.name
    (tmp_path / "flywheel.json").write_text(run.flywheel.model_dump_json(by_alias=True))
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "TAO_HOME": str(tmp_path)}
    environment["TAO_LAKE"] = run.settings.lake
    times = [run.turn.start.isoformat(), run.turn.end.isoformat()]
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, step, name, run.database_url, str(tmp_path), *times],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    report = register.run(run)
    assert report.metrics == {"model": name, "version": 1, "alias": "champion", "decision": "promote", "pending": False}
    champion = _registry(judged).champion(name)
    assert champion is not None and champion.version == 1
    assert _promotions(judged) == [1]
    assert read_json(judged.folder / "verdict.json")["decision"] == "promote"
