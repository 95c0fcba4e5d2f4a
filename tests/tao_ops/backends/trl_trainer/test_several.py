"""Preferences in two processes: each asks the starting model itself."""

from pathlib import Path
from typing import Any

from tao_ops.config import Method
from tao_ops.models import model_ref
from tao_ops.settings import PROJECT
from tao_ops.updating import process
from tests.tao_ops.backends.trl_trainer.small_jobs import job, rewards, small_model


def test_pairs_are_learnt_in_two_processes(tmp_path: Path) -> None:
    figures: list[dict[str, Any]] = []
    told = job(
        small_model(tmp_path / "base"), tmp_path / "model", Method.DPO, holdout=0, accelerate="accelerate/cpu_gloo.yaml"
    )
    metrics = process.train(
        told,
        rewards,
        accelerate=PROJECT / "include" / "accelerate" / "cpu_gloo.yaml",
        say=lambda line: None,
        sink=lambda step, told: figures.append(dict(told)),
    )
    assert metrics["steps"] == 3 and metrics["loss_last"] < metrics["loss_first"]  # eight pairs, two times four a step
    assert figures[0]["margin"] == 0.0 and figures[-1]["margin"] > 0.5
    assert model_ref(told.folder).model_version != told.base.model_version
