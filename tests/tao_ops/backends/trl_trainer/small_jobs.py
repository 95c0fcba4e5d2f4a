"""Training runs of a few seconds: a tiny random model, and answers of one colour or the other."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tao_ops.backends.trl_trainer.job import Best, Example, Group, Job, Judged, Preference, Question
from tao_ops.config import Method, UpdateConfig
from tao_ops.models import model_ref
from tao_ops.records import Message
from tests.tao_ops.backends.tiny_models import embedded

GOOD, BAD = "It is red.", "Not known"
LIMITLESS = {"kl": None, "entropy": None, "length": None, "reward": None}


def small_model(folder: Path, **config: Any) -> Path:
    """A Llama, randomly made, whose vocabulary is small too: of the embedded tokenizer the template stays."""
    import torch
    import transformers

    texts = [f"{GOOD} {BAD} {message['content']}" for i in range(200) for message in asked(i)]
    tokenizer = transformers.AutoTokenizer.from_pretrained(embedded()).train_new_from_iterator(texts, 400)
    size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 1}
    told: dict[str, Any] = {
        "head_dim": 32,
        "num_key_value_heads": 1,
        "max_position_embeddings": 128,
        "dtype": "bfloat16",
    }
    # Weights of the usual size, 0.02, would hold so few dimensions to a uniform distribution, whatever is learnt.
    told["initializer_range"] = 0.2
    ends = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    torch.manual_seed(5)
    made = transformers.LlamaConfig(**{**size, **told, **ends, "vocab_size": len(tokenizer), **config})
    transformers.LlamaForCausalLM(made).to(made.dtype).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def asked(number: int) -> list[Message]:
    """A short production prompt."""
    return [Message(role="system", content="Colours."), Message(role="user", content=f"What is {number}?")]


def examples(method: Method, count: int = 8) -> list[Example]:
    """Of ``count`` queries, what ``method`` learns from."""
    match method:
        case Method.RAFT:
            return [Best(asked(i), GOOD, weight=0.5 + i % 3 / 2) for i in range(count)]
        case Method.DPO:
            return [Preference(asked(i), GOOD, BAD) for i in range(count)]
        case Method.KTO:
            return [Judged(asked(i), answer, answer == GOOD) for i in range(count) for answer in (GOOD, BAD)]
        case Method.GRPO_OFFLINE:
            return [
                Group(asked(i), (GOOD, BAD, f"{GOOD} {i}", f"{BAD} {i}"), (1.0, 0.0, 0.9, 0.1)) for i in range(count)
            ]
        case Method.GRPO:
            return [question(i) for i in range(count)]


def question(number: int) -> Question:
    """A query of the holdout, or one to sample for."""
    return Question(asked(number), task="colours", query_id=f"q{number}", max_tokens=6)


def job(base: Path, folder: Path, method: Method, *, count: int = 8, holdout: int = 3, **config: Any) -> Job:
    """A run of ``method`` into ``folder``; ``config`` goes into the update's settings."""
    told = {
        "epochs": 3,
        "batch_size": 16 if method is Method.GRPO_OFFLINE else 4,
        "group": 4,
        **({} if method is Method.GRPO else {"learning_rate": 1e-2}),
        "sampler": {"steps": 6, "queries": 2, "samples": 4, "learning_rate": 1e-2},
        "watch": {"checkpoints": 3, "limits": LIMITLESS},
    }
    ref = model_ref(base)
    return Job(
        base=ref,
        champion=ref,
        method=method,
        config=UpdateConfig.model_validate({**told, "method": method, **config}),
        examples=examples(method, count),
        holdout=[question(100 + i) for i in range(holdout)],
        seed=7,
        folder=folder,
        scratch=folder.with_name(f".{folder.name}.trainer"),
    )


def unweighted(told: Job) -> Job:
    """The same run of ``raft``, all examples alike."""
    return replace(told, examples=[replace(one, weight=1.0) for one in told.examples if isinstance(one, Best)])


def rewards(questions: Sequence[Question], answers: Sequence[str]) -> list[float | None]:
    """A reward that differs between answers, the same in every process."""
    return [sum(map(ord, answer)) % 7 / 6 for answer in answers]


def in_child(target: Callable[..., None], *arguments: Any) -> int | None:
    """Run ``target`` in a process of its own, forked from one that has imported the libraries; its exit code."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["trl.trainer.grpo_trainer", "trl.trainer.dpo_trainer", "trl.trainer.sft_trainer", "peft", "datasets"]
    )
    child = context.Process(target=target, args=arguments)
    child.start()
    child.join(300)
    if child.is_alive():
        child.kill()
        raise TimeoutError("the child did not end")
    return child.exitcode


def train_until(told: Job, dies_at: str | None, result: Path) -> None:
    """Train, and be killed as ``dies_at`` happens: ``step 3``, ``measure 6``, ``measured 6`` or a line's first word.

    ``measure``: the checkpoint is written, and its answers are being judged; ``measured``: that is written too.
    A run that is not killed writes its result.
    """
    from tao_ops.backends.trl_trainer import train
    from tao_ops.files import write_json

    def die(event: str) -> None:
        if event == dies_at:
            os.kill(os.getpid(), signal.SIGKILL)

    said: list[str] = []
    figures: list[tuple[int, dict[str, float]]] = []

    def judged(questions: Sequence[Question], answers: Sequence[str]) -> list[float | None]:
        if questions[0].query_id == "q100":
            die(f"measure {figures[-1][0] if figures else 0}")
        return rewards(questions, answers)

    def sink(step: int, told: Mapping[str, float]) -> None:
        if "loss" in told:
            die(f"measured {figures[-1][0] if figures else 0}")
            figures.append((step, dict(told)))
            die(f"step {step}")

    def say(line: str) -> None:
        said.append(line)
        die(" ".join(line.split()[:1]))

    metrics = train(told, judged, say=say, sink=sink)
    write_json(
        result, {"metrics": metrics, "said": said, "figures": figures, "model": model_ref(told.folder).model_version}
    )
