"""A second method with nothing to learn costs nothing; an erasure meanwhile leaves nothing."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tao_ops import erasure
from tao_ops.backends import trl_trainer
from tao_ops.erasure_plan import Subject
from tao_ops.errors import DataError, EngineError
from tao_ops.files import read_json
from tao_ops.models import model_digest, model_ref
from tao_ops.stages import generate, ingest, score, update, validate
from tao_ops.updating import summary

Shop = Any
NOTHING = "every reward was the same within its query, nothing to learn"


class Killed(BaseException):
    """Stands in for a kill."""


@pytest.fixture
def run(shop: Shop) -> Any:
    """Scored responses, for ``dpo`` and then ``grpo``."""
    shop.change("update.method", "dpo")
    shop.change("update.then", "grpo")
    shop.change("validate.holdout", 0.3)
    shop.log()
    for stage in (ingest, validate, generate, score):
        stage.run(shop.run())
    return shop.run()


def _folder(run: Any) -> Path:
    folder: Path = run.lake.artifacts(run.turn, run.run_id)
    return folder


def _at(monkeypatch: pytest.MonkeyPatch, method: str, act: Callable[[Any], None], *, after: bool = False) -> list[str]:
    """Let ``act`` happen before, or after, the training by ``method``; the methods that are trained by."""
    train, trained = trl_trainer.train, []

    def spy(job: Any, rewarder: Any, **how: Any) -> Any:
        trained.append(job.method.value)
        if job.method == method and not after:
            act(job)
        metrics = train(job, rewarder, **how)
        if job.method == method and after:
            act(job)
        return metrics

    monkeypatch.setattr(trl_trainer, "train", spy)
    return trained


def _nothing(job: Any) -> None:
    job.scratch.mkdir(parents=True, exist_ok=True)
    raise DataError(NOTHING, where="update", mend="a higher temperature")


def test_where_the_second_method_has_nothing_to_learn_the_firsts_model_is_the_candidate(
    shop: Shop, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    _at(monkeypatch, "dpo", lambda job: made.append(model_digest(job.folder)), after=True)
    _at(monkeypatch, "grpo", _nothing)
    report = update.run(run)
    told = read_json(_folder(run) / "candidate.json")
    candidate = model_ref(Path(told["path"]))
    assert [candidate.model_version] == made == [report.metrics["candidate"]]
    assert f"grpo: {NOTHING}; the model that dpo made is kept" in shop.said
    grpo = report.metrics["methods"]["grpo"]
    assert grpo["stopped"] == NOTHING and grpo["kept_step"] is None and grpo["tasks"]["tickets"]["queries"] > 0
    assert report.metrics["kept_step"] == 3 and report.tokens == 40
    assert summary.told(report.metrics)["grpo"]["stopped"] == NOTHING
    # What the second method did not learn from is not named as what the candidate was trained on.
    rows = pq.read_table(Path(candidate.path) / "training_rows.parquet").to_pylist()
    assert {row["method"] for row in rows} == {"dpo"} and told["rows"] == report.rows_out == len(rows)
    assert told["metrics"]["queries"] == len({row["query_id"] for row in rows})
    assert {path.name for path in _folder(run).iterdir() if path.is_dir()} >= {Path(candidate.path).name}
    assert not (_folder(run) / ".update").exists() and not list(Path(candidate.path).glob("*.json.*"))


@pytest.mark.parametrize(
    ("method", "error"),
    [
        ("dpo", DataError(NOTHING)),
        ("grpo", DataError("no checkpoint was within the limits")),
        ("grpo", EngineError(NOTHING)),
    ],
)
def test_any_other_failure_ends_the_stage(
    run: Any, monkeypatch: pytest.MonkeyPatch, method: str, error: Exception
) -> None:
    def fail(job: Any) -> None:
        raise error

    _at(monkeypatch, method, fail)
    with pytest.raises(type(error)) as caught:
        update.run(run)
    assert caught.value is error and not (_folder(run) / "candidate.json").exists()


def test_a_kill_before_the_firsts_model_is_kept_trains_it_no_second_time(
    shop: Shop, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        _at(patched, "grpo", _nothing)
        undisturbed = update.run(run)
    with monkeypatch.context() as patched:

        def die(self: Path, target: Path) -> Path:
            raise Killed

        _at(patched, "grpo", _nothing)
        shutil.rmtree(undisturbed_folder := _folder(run) / f"candidate-{undisturbed.metrics['candidate']}")
        patched.setattr(Path, "rename", die)
        with pytest.raises(Killed):
            update.run(run)
    trained = _at(monkeypatch, "grpo", _nothing)
    again = update.run(run)
    assert trained == ["grpo"] and again.metrics == undisturbed.metrics and undisturbed_folder.is_dir()
    assert "dpo was done by an earlier attempt" in shop.said


def test_a_candidate_whose_weights_were_deleted_gets_them_back_when_it_is_trained_again(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _at(monkeypatch, "grpo", _nothing)
    first = update.run(run)
    folder = _folder(run) / f"candidate-{first.metrics['candidate']}"
    (folder / "README.md").write_text("the card", encoding="utf-8")
    for path in (*folder.glob("*.safetensors"), folder / "tokenizer.json"):
        path.unlink()
    again = update.run(run)
    assert again.metrics == first.metrics
    assert model_ref(folder).model_version == first.metrics["candidate"]
    assert (folder / "README.md").is_file() and (folder / "training_rows.parquet").is_file()
    assert not (_folder(run) / ".update").exists() and not list(folder.glob(".*"))


@pytest.mark.parametrize(("method", "after"), [("dpo", False), ("dpo", True), ("grpo", False), ("grpo", True)])
def test_an_erasure_meanwhile_ends_it_and_leaves_nothing_that_has_learned_the_rows(
    run: Any, monkeypatch: pytest.MonkeyPatch, method: str, *, after: bool
) -> None:
    gone: list[str] = []

    def erase(job: Any) -> None:
        gone[:] = [pq.read_table(job.folder.parent / "training_rows.parquet").column("query_id")[0].as_py()]
        where = {"lake": run.lake, "settings": run.settings, "url": run.database_url, "say": run.say}
        erasure.erase("shop", Subject(query_id=gone[0]), dry_run=False, **where)
        assert not job.folder.exists()
        (job.scratch / "checkpoint-2").mkdir(parents=True)  # written by the trainer, that goes on

    with monkeypatch.context() as patched:
        _at(patched, method, erase, after=after)
        with pytest.raises(
            EngineError, match=r"the rows that it is trained on were erased meanwhile .* run again"
        ) as caught:
            update.run(run)
    assert caught.value.retryable
    assert [path.name for path in _folder(run).iterdir() if path.is_dir() and path.name != "data_docs"] == []
    report = update.run(run)
    rows = pq.read_table(Path(read_json(_folder(run) / "candidate.json")["path"]) / "training_rows.parquet")
    assert gone[0] not in rows.column("query_id").to_pylist() and rows.num_rows == report.rows_out


@pytest.mark.parametrize(("queries", "said"), [(8, True), (0, False)])
def test_without_a_holdout_it_says_that_no_limit_holds(shop: Shop, queries: int, *, said: bool) -> None:
    shop.change("validate.holdout", 0.0)
    shop.change("update.watch", {"queries": queries})
    shop.log()
    for stage in (ingest, validate, generate, score):
        stage.run(shop.run())
    update.run(shop.run())
    assert any(line.startswith("the holdout has no queries: ") for line in shop.said) is said
