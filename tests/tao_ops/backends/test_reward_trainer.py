"""A reward model trained in truth, on a model so small that it takes seconds."""

import math
from pathlib import Path
from typing import Any

import pytest

from tao_ops.backends import reward_trainer
from tao_ops.backends.reward_models import TransformersRewardModel
from tao_ops.backends.reward_trainer import Pair, RewardTraining, train
from tao_ops.errors import EngineError, ModelError
from tao_ops.models import model_facts, model_ref
from tao_ops.records import Message
from tests.tao_ops.backends.tiny_models import write_model

QUICK = RewardTraining(epochs=6, learning_rate=2e-2, batch_size=4, max_length=64)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("base") / "model", "CausalLM", dtype="bfloat16")


def _said(number: int, answer: str) -> list[Message]:
    return [Message(role="user", content=f"{number} + 1?"), Message(role="assistant", content=answer)]


def _pairs(count: int = 12) -> list[Pair]:
    return [Pair(_said(i, f"It is {i + 1}."), _said(i, "I do not know!")) for i in range(count)]


def _train(base: Path, folder: Path, pairs: list[Pair], how: RewardTraining = QUICK, **more: Any) -> dict[str, Any]:
    return train(base, pairs, how, seed=3, folder=folder, say=more.pop("say", lambda line: None))


def test_the_better_answer_gets_the_higher_number(base: Path, tmp_path: Path) -> None:
    said: list[str] = []
    metrics = _train(base, tmp_path / "rm", _pairs(), say=said.append)
    assert metrics["pairs"] == 12 and metrics["steps"] == 6 * 3 and metrics["tokens"] > 12 * 2 * 6
    assert metrics["loss_last"] < 0.3 < math.log(2)
    assert any(line.startswith("step 18/18, loss 0.") for line in said)
    ask = TransformersRewardModel(tmp_path / "rm", say=lambda line: None)
    better, worse = ask([_said(40, "It is 41."), _said(40, "I do not know!")])
    assert better > worse  # type: ignore[operator]
    facts = model_facts(model_ref(tmp_path / "rm"))
    assert (facts.architecture, facts.dtype) == ("LlamaForSequenceClassification", "BF16")  # the base's own
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rm"]


def test_pairs_that_are_too_long_are_left_out_and_counted(base: Path, tmp_path: Path) -> None:
    said: list[str] = []
    long = Pair(_said(1, "word " * 200), _said(1, "no"))
    metrics = _train(
        base, tmp_path / "rm", [*_pairs(4), long], RewardTraining(epochs=1, max_length=64), say=said.append
    )
    assert metrics["pairs"] == 4 and "1 pairs are longer than 64 tokens and left out" in said
    with pytest.raises(EngineError, match="no pair is within 64 tokens"):
        _train(base, tmp_path / "none", [long], QUICK)
    assert not (tmp_path / "none").exists()


def test_a_loss_that_is_no_number_is_an_error(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = {"loss": math.nan, "loss_last": 0.1}
    monkeypatch.setattr(reward_trainer, "_fit", lambda *_: (None, metrics))
    with pytest.raises(EngineError, match="the loss is not a number"):
        _train(base, tmp_path / "rm", _pairs())
    assert not (tmp_path / "rm").exists()


def test_a_base_that_is_no_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="the base of the reward model cannot be loaded"):
        _train(tmp_path, tmp_path / "rm", _pairs())
