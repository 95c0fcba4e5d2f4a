"""A run that was killed ends, at its retry, as one that was left alone: to the last bit."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tao_ops.backends.trl_trainer import Job
from tao_ops.config import Method
from tests.tao_ops.backends.trl_trainer.small_jobs import LIMITLESS, in_child, job, small_model, train_until


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_model(tmp_path_factory.mktemp("base") / "model")


def _result(told: Job, at: Path) -> dict[str, Any]:
    assert in_child(train_until, told, None, at) == 0
    return dict(json.loads(at.read_text(encoding="utf-8")))


def _lasting(result: dict[str, Any]) -> dict[str, Any]:
    """All but what a clock tells."""
    metrics = {name: value for name, value in result["metrics"].items() if name not in {"seconds", "peak_mib"}}
    return {"metrics": metrics, "model": result["model"]}


# Six updates, a checkpoint after each second one; the grpo methods begin another epoch on the way, and a
# step of grpo is of two parts.
CASES = [
    (Method.RAFT, ["step 1", "measure 6"]),
    (Method.DPO, ["step 3"]),
    (Method.KTO, ["measured 4"]),
    (Method.GRPO_OFFLINE, ["measure 4"]),
    (Method.GRPO, ["step 6"]),
]


@pytest.mark.parametrize(("method", "deaths"), CASES, ids=[method.value for method, _ in CASES])
def test_the_retry_ends_as_an_undisturbed_run(base: Path, tmp_path: Path, method: Method, deaths: list[str]) -> None:
    expected = _result(job(base, tmp_path / "whole", method), tmp_path / "whole.json")
    assert expected["metrics"]["holdout"][0]["step"] == 0 and len(expected["metrics"]["holdout"]) > 2
    for death in deaths:
        told = job(base, tmp_path / death, method)
        assert in_child(train_until, told, death, tmp_path / "unwritten.json") == -signal.SIGKILL
        assert told.scratch.is_dir() and not told.folder.exists()
        result = _result(told, tmp_path / "retry.json")
        went_on = [line for line in result["said"] if line.startswith("going on from checkpoint-")]
        assert bool(went_on) == (death != "step 1"), result["said"]
        assert _lasting(result) == _lasting(expected), death
        again = result["figures"]  # what the retry told anew, it told as before
        assert again == expected["figures"][len(expected["figures"]) - len(again) :]
        assert not told.scratch.exists()


def test_a_run_that_was_killed_past_a_limit_trains_no_further(base: Path, tmp_path: Path) -> None:
    free = _result(job(base, tmp_path / "free", Method.RAFT), tmp_path / "free.json")
    kl = [one["kl"] for one in free["metrics"]["holdout"]]
    assert kl[1] < kl[2]
    watch = {"checkpoints": 3, "limits": {**LIMITLESS, "kl": (kl[1] + kl[2]) / 2}}
    expected = _result(job(base, tmp_path / "whole", Method.RAFT, watch=watch), tmp_path / "whole.json")
    metrics = expected["metrics"]
    assert (metrics["steps"], metrics["kept_step"], len(metrics["holdout"])) == (4, 2, 2)
    assert "is above update.watch.limits.kl" in metrics["stopped"] and expected["model"] != free["model"]
    for death in ("measure 4", "keeping"):
        told = job(base, tmp_path / death, Method.RAFT, watch=watch)
        assert in_child(train_until, told, death, tmp_path / "unwritten.json") == -signal.SIGKILL
        result = _result(told, tmp_path / "retry.json")
        assert _lasting(result) == _lasting(expected), death
        assert "going on from checkpoint-4" in result["said"] and not result["figures"]
