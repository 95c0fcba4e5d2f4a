"""A training's figures are in MLflow as it goes, each once, and none is lost where MLflow is not there."""

import json
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tao_ops.config import Method
from tao_ops.database import sibling_url, with_driver
from tao_ops.errors import DataError, EngineError
from tao_ops.mlflow_versions import MlflowVersions
from tao_ops.stages import gate, register
from tao_ops.updating import curves, journal, live
from tao_ops.updating.curves import Curves

NewTurn = Callable[..., Any]
HOLDOUT = {"holdout_reward": 0.25, "holdout_kl": 0.0, "holdout_entropy": 0.5, "holdout_length": 9.0}


def _mlflow(url: str) -> Any:
    from mlflow.tracking import MlflowClient

    uri = with_driver(sibling_url(url, "mlflow"), "psycopg")
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def _figures(step: int) -> dict[str, float]:
    return {"loss": 1 / step, "learning_rate": 0.001, "gradient_norm": 2.0, "entropy": 0.5 / step}


def _train(
    judged: Any,
    *steps: int,
    method: Method = Method.RAFT,
    figures: Callable[[int], Mapping[str, float]] = _figures,
    stops: BaseException | None = None,
) -> None:
    """Steps of a training, 0 for the holdout before the first; then what ends it, if it ends badly."""
    with pytest.raises(type(stops)) if stops else nullcontext(), Curves(judged.run, judged.folder) as taken:
        sink = taken.of(method)
        for step in steps:
            sink(step, figures(step) if step else HOLDOUT)
        if stops is not None:
            raise stops


def _curve(judged: Any, name: str, run: str | None = None) -> list[tuple[int, float]]:
    history = _mlflow(judged.run.database_url).get_metric_history(run or live.run_of(judged.folder), name)
    return sorted((one.step, one.value) for one in history)


def _runs(judged: Any) -> list[Any]:
    client = _mlflow(judged.run.database_url)
    return list(client.search_runs([client.get_experiment_by_name(judged.run.flywheel.name).experiment_id]))


def test_figures_are_in_mlflow_before_the_training_ends(new_turn: NewTurn) -> None:
    judged = new_turn()
    with Curves(judged.run, judged.folder) as taken:
        sink = taken.of(Method.RAFT)
        sink(0, HOLDOUT)
        sink(1, _figures(1))
        until = time.monotonic() + 240
        while not (live.run_of(judged.folder) and _curve(judged, "raft/loss")) and time.monotonic() < until:
            time.sleep(0.2)
        assert _curve(judged, "raft/loss") == [(1, 1.0)] and _curve(judged, "holdout/kl") == [(0, 0.0)]
        (run,) = _runs(judged)
        assert run.info.status == "RUNNING" and run.data.tags["tao.turn"] == "2026-11-21T00:00Z"
    (run,) = _runs(judged)
    assert run.info.status == "FINISHED"
    found = _mlflow(judged.run.database_url).list_artifacts(run.info.run_id, "pictures")
    assert [one.path for one in found] == ["pictures/training.png"]


def test_the_version_gets_the_run_that_the_training_was_logged_to(new_turn: NewTurn) -> None:
    judged = new_turn()
    _train(judged, 0, 1, 2)
    judged.evaluate([1.0] * 3 + [0.0] * 97, [1.0] * 80 + [0.0] * 20)
    gate.run(judged.run)
    for _ in range(2):
        assert register.run(judged.run).metrics["version"] == 1
    (run,) = _runs(judged)
    version = _mlflow(judged.run.database_url).get_model_version(judged.run.flywheel.name, "1")
    assert version.run_id == run.info.run_id == live.run_of(judged.folder)
    assert _curve(judged, "raft/loss") == [(1, 1.0), (2, 0.5)]
    assert (run.info.status, run.data.params["seed"], run.data.tags["tao.model_version"]) == ("FINISHED", "7", "cand")
    assert run.data.metrics["tickets.candidate"] == 0.8


def test_a_retry_goes_on_in_the_same_run_and_doubles_nothing(new_turn: NewTurn) -> None:
    judged = new_turn()
    _train(judged, 0, 1, 2, 3, 4, stops=KeyboardInterrupt())
    (run,) = _runs(judged)
    assert run.info.status == "KILLED"
    with (judged.folder / "training.jsonl").open("a") as file:
        file.write('{"method": "raft", "st')  # as a kill leaves it
    _train(judged, 3, 4, 5)  # from the checkpoint of step 2
    (run,) = _runs(judged)
    assert run.info.status == "FINISHED"
    assert _curve(judged, "raft/loss") == [(step, 1 / step) for step in (1, 2, 3, 4, 5)]
    told = [json.loads(line) for line in (judged.folder / "training.jsonl").read_text().splitlines()]
    assert [line["step"] for line in told] == [0, 1, 2, 3, 4, 5] and told[5]["loss"] == 0.2


def test_what_a_killed_attempt_had_not_sent_yet_follows(new_turn: NewTurn, monkeypatch: pytest.MonkeyPatch) -> None:
    judged = new_turn()
    with monkeypatch.context() as dead:
        dead.setattr(live.Live, "put", lambda *_: None)
        _train(judged, 0, 1, 2, 3, stops=KeyboardInterrupt())
    assert _curve(judged, "raft/loss") == []
    _train(judged, 3)
    assert _curve(judged, "raft/loss") == [(1, 1.0), (2, 0.5), (3, 1 / 3)]


def test_a_holdout_that_a_killed_attempt_did_not_come_to_measure_follows_its_step(new_turn: NewTurn) -> None:
    judged = new_turn()
    _train(judged, 0, 1, 2, stops=KeyboardInterrupt())
    with Curves(judged.run, judged.folder) as taken:
        taken.of(Method.RAFT)(2, HOLDOUT)
        taken.of(Method.RAFT)(3, _figures(3))
    lines = journal.read(judged.folder)
    assert [(one.step, one.on_holdout) for one in lines] == [(0, True), (1, False), (2, False), (2, True), (3, False)]


def test_another_training_in_the_same_folder_gets_another_run(new_turn: NewTurn) -> None:
    judged = new_turn()
    _train(judged, 0, 1, 2, stops=EngineError("no memory"))
    first = live.run_of(judged.folder)
    _train(judged, 0, 1, 2, figures=lambda step: {"loss": 3.0})
    assert _curve(judged, "raft/loss") == [(1, 3.0), (2, 3.0)]
    assert _curve(judged, "raft/loss", first) == [(1, 1.0), (2, 0.5)]
    assert {run.info.run_id: run.info.status for run in _runs(judged)}[first] == "KILLED"
    assert len(_runs(judged)) == 2


def test_a_second_method_goes_on_where_the_first_ended(new_turn: NewTurn) -> None:
    judged = new_turn()
    flywheel = judged.run.flywheel
    both = flywheel.model_copy(update={"update": flywheel.update.model_copy(update={"then": "grpo"})})
    judged = replace(judged, run=replace(judged.run, flywheel=both))
    with Curves(judged.run, judged.folder) as taken:
        for method in (Method.RAFT, Method.GRPO):
            for step in (0, 1, 2):
                taken.of(method)(step, _figures(step) if step else HOLDOUT)
    _train(judged, 2, 3, method=Method.GRPO)  # the first method was done by an earlier attempt
    assert _curve(judged, "raft/loss") == [(1, 1.0), (2, 0.5)]
    assert _curve(judged, "grpo/loss") == [(3, 1.0), (4, 0.5), (5, 1 / 3)]
    assert _curve(judged, "holdout/reward") == [(0, 0.25), (2, 0.25)]
    assert [one.method for one in journal.read(judged.folder)] == ["raft"] * 3 + ["grpo"] * 4


def test_without_mlflow_the_training_goes_on_and_its_version_has_the_curves(
    new_turn: NewTurn, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = new_turn()
    said: list[str] = []
    nowhere = "postgresql://tao@127.0.0.1:9/tao"
    _train(replace(judged, run=replace(judged.run, database_url=nowhere, say=said.append)), 0, 1, 2)
    (line,) = [line for line in said if "MLflow" in line]
    assert line.startswith("no live figures in MLflow: no connection to PostgreSQL") and "\n" not in line
    assert "kept in training.jsonl" in line and live.run_of(judged.folder) is None
    judged.evaluate([1.0] * 3 + [0.0] * 97, [1.0] * 80 + [0.0] * 20)
    gate.run(judged.run)
    version = str(register.run(judged.run).metrics["version"])
    run = _mlflow(judged.run.database_url).get_model_version(judged.run.flywheel.name, version).run_id
    assert _curve(judged, "raft/loss", run) == [(1, 1.0), (2, 0.5)]
    assert _curve(judged, "holdout/length", run) == [(0, 9.0)]


def test_a_server_that_never_answers_holds_nothing_up(new_turn: NewTurn, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    answers = threading.Event()
    monkeypatch.setattr(MlflowVersions, "begin", lambda *_, **__: answers.wait(240))
    for name in ("log", "end"):
        monkeypatch.setattr(MlflowVersions, name, lambda *_, **__: None)
    monkeypatch.setattr(live, "_AT_END", 0.2)
    judged, said = new_turn(), list[str]()
    _train(replace(judged, run=replace(judged.run, say=said.append)), 0, 1)
    answers.set()
    for thread in threading.enumerate():
        if thread.name == "mlflow":
            thread.join(60)  # the next test must not have it
    assert [line for line in said if "it does not answer" in line] and len(journal.read(judged.folder)) == 2


def test_a_server_that_comes_back_gets_all(new_turn: NewTurn, monkeypatch: pytest.MonkeyPatch) -> None:
    log, failures = MlflowVersions.log, iter([ConnectionError("gone")])

    def fails_first(self: MlflowVersions, *given: Any) -> None:
        for error in failures:
            raise error
        log(self, *given)

    monkeypatch.setattr(MlflowVersions, "log", fails_first)
    monkeypatch.setattr(live, "_AGAIN", 0.1)
    judged, said = new_turn(), list[str]()
    with Curves(replace(judged.run, say=said.append), judged.folder) as taken:
        taken.of(Method.RAFT)(1, _figures(1))
        until = time.monotonic() + 240
        while "MLflow answers again, and has all figures" not in said and time.monotonic() < until:
            time.sleep(0.1)
    assert [line.partition(":")[0] for line in said if "MLflow" in line] == [
        "no live figures in MLflow",
        "MLflow answers again, and has all figures",
    ]
    assert _curve(judged, "raft/loss") == [(1, 1.0)]


def test_a_training_that_is_not_there_any_more_gets_a_new_run(new_turn: NewTurn) -> None:
    judged = new_turn()
    _train(judged, 0, 1, 2)
    first = live.run_of(judged.folder)
    _mlflow(judged.run.database_url).delete_run(first)
    _train(judged, 2, 3)
    assert live.run_of(judged.folder) != first
    assert _curve(judged, "raft/loss") == [(1, 1.0), (2, 0.5), (3, 1 / 3)]


def test_a_figure_that_is_no_number_leaves_a_gap(new_turn: NewTurn) -> None:
    judged = new_turn()
    _train(judged, 1, 2, figures=lambda step: {"loss": 1.0, "entropy": float("nan") if step == 1 else 0.5})
    assert _curve(judged, "raft/entropy") == [(2, 0.5)]
    assert json.loads((judged.folder / "training.jsonl").read_text().splitlines()[0])["entropy"] is None


def test_a_picture_is_drawn_of_what_there_is_even_if_training_failed(new_turn: NewTurn) -> None:
    import matplotlib.image

    judged = new_turn()
    _train(judged, 0, 1, stops=EngineError("no memory"))
    assert matplotlib.image.imread(judged.folder / "training.png").shape[2] == 4
    (run,) = _runs(judged)
    assert run.info.status == "FAILED"


def test_a_training_that_took_no_step_leaves_nothing(new_turn: NewTurn) -> None:
    judged = new_turn()
    _train(judged)
    assert list(judged.folder.iterdir()) == []


def test_a_picture_that_cannot_be_drawn_costs_no_training(new_turn: NewTurn, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(curves.picture, "draw", fails)
    judged, said = new_turn(), list[str]()
    _train(replace(judged, run=replace(judged.run, say=said.append)), 1)
    assert "no picture of the training: no space left" in said


def test_a_file_of_something_else_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "training.jsonl").write_text('{"step": 1}\n')
    with pytest.raises(DataError, match=r"no figures of a training .*training\.jsonl:1"):
        journal.read(tmp_path)
