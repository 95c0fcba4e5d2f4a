"""Each method in truth, on a model so small that it takes seconds: the good answer becomes more likely than the bad."""

import json
import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from string import ascii_letters
from typing import Any

import pytest

from tao_ops.backends.trl_trainer import Best, Job, Question, grpo, nothing_to_learn, preferences, train
from tao_ops.config import Method
from tao_ops.errors import ConfigError, DataError, EngineError
from tao_ops.models import model_facts, model_ref
from tests.tao_ops.backends.trl_trainer.small_jobs import (
    BAD,
    GOOD,
    LIMITLESS,
    asked,
    job,
    question,
    rewards,
    small_model,
    unweighted,
)

UNSEEN = 55


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_model(tmp_path_factory.mktemp("base") / "model")


def late(questions: Sequence[Question], answers: Sequence[str]) -> list[float | None]:
    """Cannot judge the holdout, so that the last checkpoint is kept."""
    found = rewards(questions, answers)
    return [
        None if one.query_id >= "q100" and len(one.query_id) == 4 else r
        for one, r in zip(questions, found, strict=True)
    ]


def _train(told: Job, rewarder: Any = late, **more: Any) -> dict[str, Any]:
    return train(told, rewarder, **{"say": lambda line: None, **more})


def _log_probability(folder: Path, answer: str) -> float:
    """Of ``answer`` to a query that nothing was trained on."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    prompt = tokenizer.apply_chat_template(asked(UNSEEN), add_generation_prompt=True, tokenize=True, return_dict=False)
    own = [*tokenizer.encode(answer, add_special_tokens=False), tokenizer.eos_token_id]
    ids = torch.tensor([prompt + own])
    with torch.no_grad():
        chosen = model(ids).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
    return float(chosen.gather(1, ids[0, len(prompt) :, None]).sum())


def _moved(base: Path, folder: Path) -> tuple[float, float]:
    """How much more likely the good and the bad answer have become, in nats."""
    good, bad = (_log_probability(folder, a) - _log_probability(base, a) for a in (GOOD, BAD))
    return good, bad


def _is_whole(base: Path, folder: Path) -> None:
    names = {path.name for path in folder.iterdir()}
    assert {"model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja"} <= names
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        assert (folder / name).read_bytes() == (base / name).read_bytes()
    facts = model_facts(model_ref(folder))
    assert (facts.architecture, facts.dtype) == ("LlamaForCausalLM", "BF16")  # the base's own
    assert not [path for path in folder.parent.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("how", ["weighted", "unweighted", "full", "bf16", "full, bf16", "checkpointed"])
def test_raft_makes_the_best_answer_likely(base: Path, tmp_path: Path, how: str) -> None:
    config = {
        "full": {"tune": "full"},
        "bf16": {"precision": "bf16"},
        "full, bf16": {"tune": "full", "precision": "bf16"},
        "checkpointed": {"gradient_checkpointing": True},
    }.get(how, {})
    told = job(base, tmp_path / "model", Method.RAFT, **config)
    metrics = _train(unweighted(told) if how == "unweighted" else told)
    good, bad = _moved(base, tmp_path / "model")
    assert good > 1.0 and good > bad
    assert metrics["loss_last"] < metrics["loss_first"] and metrics["loss_first"] > metrics["loss"]
    assert metrics["steps"] == metrics["kept_step"] == 6 and metrics["stopped"] is None
    assert metrics["tokens"] > 3 * 8 * 20 and metrics["peak_mib"] > 100
    assert [one["step"] for one in metrics["holdout"]] == [0, 2, 4, 6]
    rounding = 1e-4 if how == "full, bf16" else 1e-6  # the champion beside it answers in fp32
    assert metrics["holdout"][0]["kl"] == pytest.approx(0, abs=rounding)
    assert metrics["holdout"][0]["kl"] < metrics["holdout"][1]["kl"] < metrics["holdout"][3]["kl"]
    assert metrics["merged_agreement"] >= 0.95 and metrics["merged_difference"] < 0.1
    _is_whole(base, tmp_path / "model")


def test_a_heavier_example_is_learnt_more(base: Path, tmp_path: Path) -> None:
    told = job(base, tmp_path / "model", Method.RAFT)
    rows = [Best(asked(i), *answer) for i in range(4) for answer in ((GOOD, 2.0), (BAD, 0.1))]
    _train(replace(told, examples=rows))
    good, bad = _moved(base, tmp_path / "model")
    assert good > bad + 1.0


@pytest.mark.parametrize(("method", "tune"), [(Method.DPO, "lora"), (Method.KTO, "lora"), (Method.DPO, "full")])
def test_preferences_part_the_good_answer_from_the_bad(base: Path, tmp_path: Path, method: Method, tune: str) -> None:
    figures: list[Mapping[str, float]] = []
    told = job(base, tmp_path / "model", method, tune=tune, epochs=4)
    _train(told, sink=lambda step, told: figures.append(told))
    good, bad = _moved(base, tmp_path / "model")
    assert good > 1.0 and good > bad + 1.0
    steps = [one for one in figures if "loss" in one]
    assert {"learning_rate", "entropy", "margin"} <= set(steps[0])
    assert ("kl" in steps[0]) == (method is Method.KTO)
    _is_whole(base, tmp_path / "model")


@pytest.mark.parametrize("correction", ["none", "clip", "mask"])
def test_stored_groups_part_the_good_answer_from_the_bad(base: Path, tmp_path: Path, correction: str) -> None:
    figures: list[Mapping[str, float]] = []
    told = job(base, tmp_path / "model", Method.GRPO_OFFLINE, correction=correction, kl=0.01, epochs=4)
    metrics = _train(told, sink=lambda step, told: figures.append(told))
    good, bad = _moved(base, tmp_path / "model")
    assert good > bad + (0.1 if correction == "clip" else 1.0)
    steps = [one for one in figures if "loss" in one]
    assert metrics["steps"] == 8
    assert {"learning_rate", "entropy", "kl", "reward", "length"} <= set(steps[0])
    assert steps[0]["reward"] == pytest.approx(0.5) and metrics["tokens"] > 0
    assert next(set(one) for one in figures if "loss" not in one) == {
        "holdout_kl",
        "holdout_entropy",
        "holdout_length",
    }
    _is_whole(base, tmp_path / "model")


def test_on_policy_the_reward_rises(base: Path, tmp_path: Path) -> None:
    seen: list[tuple[list[Question], list[str]]] = []

    def letters(questions: Sequence[Question], answers: Sequence[str]) -> list[float | None]:
        seen.append((list(questions), list(answers)))
        return [sum(letter in ascii_letters for letter in answer) / max(1, len(answer)) for answer in answers]

    figures: list[Mapping[str, float]] = []
    sampler = {"steps": 10, "queries": 4, "samples": 16, "learning_rate": 3e-2, "engine": "transformers"}
    told = job(base, tmp_path / "model", Method.GRPO, holdout=0, batch_size=64, sampler=sampler)
    metrics = _train(told, letters, sink=lambda step, told: figures.append(told))
    rewarded = [one["reward"] for one in figures]
    assert len(rewarded) == metrics["steps"] == metrics["kept_step"] == 10 and metrics["holdout"] == []
    assert sum(rewarded[-3:]) > 1.5 * sum(rewarded[:3])
    questions, answers = seen[0]
    assert len(answers) == 64 and len({one.query_id for one in questions}) == 4
    assert questions[0].query_id == questions[15].query_id != questions[16].query_id  # sixteen answers to each
    _is_whole(base, tmp_path / "model")


def test_fewer_queries_than_a_step_wants_still_fill_it(base: Path, tmp_path: Path) -> None:
    sampler = {"steps": 2, "queries": 4, "samples": 4, "learning_rate": 1e-2}
    assert _train(job(base, tmp_path / "on", Method.GRPO, count=3, sampler=sampler))["steps"] == 2
    assert _train(job(base, tmp_path / "off", Method.GRPO_OFFLINE, count=3, epochs=2))["steps"] == 2


def test_an_epoch_leaves_out_the_queries_that_fill_no_step(base: Path, tmp_path: Path) -> None:
    told = job(
        base, tmp_path / "model", Method.GRPO_OFFLINE, count=5, batch_size=8, watch={"checkpoints": 1}, holdout=0
    )
    assert _train(told)["steps"] == 6  # of two queries, twice in each of three epochs


@pytest.mark.parametrize(
    ("method", "whole", "parts", "config"),
    [
        (Method.GRPO_OFFLINE, 4, 2, {"correction": "mask", "kl": 0.1}),
        (Method.GRPO_OFFLINE, 4, 1, {"correction": "clip"}),
        (Method.GRPO, 8, 3, {"kl": 0.1, "sampler": {"steps": 3, "queries": 2, "samples": 4}}),  # two at once
    ],
)
def test_a_step_in_parts_is_the_step_at_once(
    base: Path, tmp_path: Path, method: Method, whole: int, parts: int, config: dict[str, Any]
) -> None:
    told: dict[int, list[Mapping[str, float]]] = {}
    for size in (whole, parts):
        mine = told.setdefault(size, [])
        one = job(base, tmp_path / str(size), method, batch_size=size, holdout=0, count=2, **config)
        _train(one, rewards, sink=lambda step, figures, mine=mine: mine.append(figures))
    for at_once, in_parts in zip(told[whole], told[parts], strict=True):
        for name in ("loss", "gradient_norm", "reward", "learning_rate", "tokens"):
            assert in_parts[name] == pytest.approx(at_once[name], rel=1e-3, abs=1e-5), name


def test_good_and_bad_responses_come_in_an_order_of_the_seed(base: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    def order(seed: int) -> list[tuple[str, bool]]:
        told = replace(job(base, tmp_path / "model", Method.KTO, count=6), seed=seed)
        model, tokenizer = AutoModelForCausalLM.from_pretrained(base), AutoTokenizer.from_pretrained(base)
        data = preferences.kto(told, model, tokenizer).train_dataset
        return [(tokenizer.decode(row["prompt_ids"]), row["label"]) for row in data]

    first = order(1)
    assert first == order(1) != order(2)
    assert sorted(first) == sorted(order(2)) and len(set(first)) == 12
    beside = [a[0] == b[0] for a, b in pairwise(first)]
    assert sum(beside) < 6  # by query, all six would lie beside their other answer


def test_a_tokenizer_without_a_padding_token_trains(base: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(base, bare)
    for name in ("tokenizer_config.json", "special_tokens_map.json", "config.json", "generation_config.json"):
        if (bare / name).is_file():
            told = json.loads((bare / name).read_text(encoding="utf-8"))
            told.pop("pad_token", None), told.pop("pad_token_id", None)
            (bare / name).write_text(json.dumps(told), encoding="utf-8")
    assert _train(job(bare, tmp_path / "model", Method.RAFT, epochs=1, holdout=2))["steps"] == 2
    assert (tmp_path / "model" / "tokenizer_config.json").read_bytes() == (bare / "tokenizer_config.json").read_bytes()


def test_an_erasure_meanwhile_leaves_no_weights(base: Path, tmp_path: Path) -> None:
    told = job(base, tmp_path / "model", Method.RAFT)

    def erased(step: int, figures: Mapping[str, float]) -> None:
        if step == 3 and "loss" in figures:
            shutil.rmtree(told.scratch)

    with pytest.raises(EngineError, match="were erased meanwhile"):
        _train(told, sink=erased)
    assert not told.scratch.exists() and not told.folder.exists()


def test_one_process_that_sees_several_gpus_is_an_error(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    with pytest.raises(ConfigError, match=r"the 2 GPUs that it sees .*update.accelerate.* CUDA_VISIBLE_DEVICES=0"):
        _train(job(base, tmp_path / "model", Method.RAFT))


def test_fewer_queries_than_processes_is_an_error(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert grpo._together(3, 9) == 2  # of 4 processes with two each
    with pytest.raises(EngineError, match="4 processes cannot share 3 queries"):
        grpo._together(1, 3)


@pytest.mark.parametrize("reward", [0.3, None])
def test_equal_rewards_all_along_are_an_error(base: Path, tmp_path: Path, reward: float | None) -> None:
    told = job(base, tmp_path / "model", Method.GRPO)
    with pytest.raises(DataError, match="every reward was the same within its query, nothing to learn") as caught:
        _train(told, lambda questions, answers: [reward] * len(answers))
    assert nothing_to_learn(caught.value) and not caught.value.retryable
    assert not told.folder.exists()


def test_a_loss_that_is_no_number_names_its_step(base: Path, tmp_path: Path) -> None:
    told = job(base, tmp_path / "model", Method.RAFT, learning_rate=1e30, watch={"checkpoints": 1})
    with pytest.raises(DataError, match=r"the loss is not a number at step \d of 6 .* lower update.learning_rate") as c:
        _train(told)
    assert not nothing_to_learn(c.value)
    assert not told.folder.exists()


@pytest.mark.parametrize(
    ("limit", "why"),
    [({"kl": 1e-9}, "limits.kl"), ({"entropy": 99.0}, "limits.entropy"), ({"reward": 0.01}, "limits.reward")],
)
def test_where_no_checkpoint_is_within_the_limits_nothing_is_written(
    base: Path, tmp_path: Path, limit: dict[str, float], why: str
) -> None:
    def falling(questions: Sequence[Question], answers: Sequence[str]) -> list[float | None]:
        falling.calls += 1  # type: ignore[attr-defined]
        return [1.0 if falling.calls == 1 else 0.0] * len(answers)  # type: ignore[attr-defined]

    falling.calls = 0  # type: ignore[attr-defined]
    said: list[str] = []
    told = job(base, tmp_path / "model", Method.RAFT, watch={"limits": {**LIMITLESS, **limit}})
    with pytest.raises(DataError, match=f"no checkpoint was within the limits: .*{why}"):
        _train(told, falling, say=said.append)
    assert not told.folder.exists()
    assert any(line.startswith("stopped after step 2: ") for line in said) and falling.calls == 2  # type: ignore[attr-defined]


def test_the_best_checkpoint_is_kept_and_not_the_last(base: Path, tmp_path: Path) -> None:
    scores = iter([0.2, 0.9, 0.3, 0.1])
    told = job(base, tmp_path / "model", Method.RAFT)
    metrics = _train(told, lambda questions, answers: [next(scores)] * len(answers))
    assert metrics["kept_step"] == 2 and metrics["steps"] == 6 and metrics["stopped"] is None
    assert [one["reward"] for one in metrics["holdout"]] == pytest.approx([0.2, 0.9, 0.3, 0.1])
    early = job(base, tmp_path / "early", Method.RAFT, watch={"limits": {**LIMITLESS, "reward": 0.1}})
    scores = iter([0.2, 0.9, 0.05])
    metrics = _train(early, lambda questions, answers: [next(scores)] * len(answers))
    assert metrics["kept_step"] == 2 and metrics["steps"] == 4
    assert metrics["stopped"] == "the reward fell from 0.200 to 0.050, update.watch.limits.reward allows less"
    assert model_ref(told.folder).model_version == model_ref(early.folder).model_version


def test_a_merged_model_that_is_not_what_was_trained_is_refused(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from peft import PeftModel

    monkeypatch.setattr(PeftModel, "merge_and_unload", lambda self: self.unload(), raising=False)
    told = job(base, tmp_path / "model", Method.RAFT, epochs=8)
    with pytest.raises(EngineError, match="the merged model chooses another token than what was trained at"):
        _train(told)
    assert not told.folder.exists()


@pytest.mark.parametrize("method", [Method.DPO, Method.GRPO])
def test_the_log_holds_what_is_said_and_nothing_else(
    base: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], method: Method
) -> None:
    import datasets
    from transformers.utils import logging as transformers_logging

    datasets.enable_progress_bars()
    transformers_logging.enable_progress_bar()
    levels = [logging.getLogger(name).level for name in ("transformers", "trl", "datasets")]
    said: list[str] = []
    capfd.readouterr()
    _train(job(base, tmp_path / "model", method), say=said.append)
    assert "".join(capfd.readouterr()) == ""
    assert any(line.startswith("step 6/6, loss ") and line.endswith(", about 0 s left") for line in said)
    assert said[0] == "loading the model and the trainer" and said[-2] == "keeping the checkpoint of step 6 of 6"
    assert datasets.utils.is_progress_bar_enabled() and transformers_logging.is_progress_bar_enabled()
    assert levels == [logging.getLogger(name).level for name in ("transformers", "trl", "datasets")]
    assert "TQDM_DISABLE" not in os.environ


def test_the_holdout_may_hold_another_length_and_question(base: Path, tmp_path: Path) -> None:
    told = job(base, tmp_path / "model", Method.RAFT)
    longer = [replace(question(1), max_tokens=3), replace(question(2), max_tokens=9)]
    metrics = _train(replace(told, holdout=longer))
    assert metrics["holdout"][0]["length"] == 6.0 and metrics["holdout"][0]["n"] == 2  # 3 and 9: it never ends
