"""What ends an answer, in training and where the holdout is answered."""

import doctest
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tao_ops.backends.trl_trainer import checkpoints, ends, watch
from tao_ops.config import Method
from tao_ops.models import model_ref
from tests.tao_ops.backends.trl_trainer.small_jobs import job, rewards, small_model


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_model(tmp_path_factory.mktemp("base") / "model")


def _loaded(folder: Path) -> tuple[Any, Any]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return model, AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize("module", [ends, watch])
def test_the_examples_in_the_documentation_are_right(module: Any) -> None:
    assert doctest.testmod(module).failed == 0


def test_a_turn_ends_as_the_template_says_and_else_as_the_tokenizer_does(base: Path) -> None:
    _, tokenizer = _loaded(base)
    own = tokenizer.eos_token_id
    assert ends.of_turns(tokenizer) == own
    tokenizer.eos_token = "<|endoftext|>"
    assert ends.of_turns(tokenizer) == own != tokenizer.eos_token_id
    tokenizer.chat_template = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
    assert ends.of_turns(tokenizer) == tokenizer.eos_token_id


def test_an_answer_ends_at_each_token_that_the_model_names(base: Path, tmp_path: Path) -> None:
    model, tokenizer = _loaded(base)
    holdout = watch.Holdout(job(base, tmp_path / "model", Method.RAFT, tune="full"), tokenizer, rewards)
    assert holdout.measure(model, 0).length == 6.0  # it never ends by itself
    second = holdout._answers(model)[1][0][1]
    for named in (second, [second, tokenizer.eos_token_id]):
        model.generation_config.eos_token_id = named
        assert ends.of_answers(model, tokenizer) == [tokenizer.eos_token_id, second]
        assert holdout.measure(model, 0).length < 6.0


def test_divergence_is_from_the_champion_which_is_not_kept_in_memory(base: Path, tmp_path: Path) -> None:
    model, tokenizer = _loaded(base)
    other = model_ref(small_model(tmp_path / "other", num_hidden_layers=1))
    told = job(base, tmp_path / "model", Method.RAFT, tune="full")
    assert watch.Holdout(told, tokenizer, rewards).measure(model, 0).kl == pytest.approx(0, abs=1e-6)
    holdout = watch.Holdout(replace(told, champion=other), tokenizer, rewards)
    assert holdout.measure(model, 0).kl > 0.01
    assert holdout._champion is None


def test_a_model_is_loaded_whole_while_its_neighbours_are_spread() -> None:
    from transformers.integrations import deepspeed

    class Spread:
        """Stands for the configuration of ZeRO-3."""

        def is_zero3(self) -> bool:
            return True

    spread = Spread()
    deepspeed.set_hf_deepspeed_config(spread)
    try:
        with checkpoints.on_one_device():
            assert not deepspeed.is_deepspeed_zero3_enabled()
        assert deepspeed.is_deepspeed_zero3_enabled()
    finally:
        deepspeed.unset_hf_deepspeed_config()
