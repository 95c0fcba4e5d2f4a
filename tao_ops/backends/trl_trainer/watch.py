"""What a run is watched by: lines of the log, figures of each step, and each checkpoint's answers to the holdout."""

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tao_ops.backends.trl_trainer import checkpoints, ends, limits
from tao_ops.backends.trl_trainer.arguments import processes
from tao_ops.backends.trl_trainer.encoding import left_padded, prompt_ids
from tao_ops.backends.trl_trainer.job import Job, Rewarder, Sink
from tao_ops.backends.trl_trainer.limits import Measured
from tao_ops.config import Tune
from tao_ops.errors import DataError
from tao_ops.files import write_json
from tao_ops.records import Progress

_REPORT_EVERY = 10.0
"""Seconds between two lines of progress."""
_ROWS = 8
"""Most answers whose probabilities are computed at once."""
_BYTES = 2**30
"""Most bytes of their probabilities: over the whole vocabulary, in fp32, they take much memory."""
HISTORY = "holdout.json"
_Found = TypeVar("_Found")
_FIGURES = {
    "loss": "loss",
    "learning_rate": "learning_rate",
    "grad_norm": "gradient_norm",
    "entropy": "entropy",
    "kl": "kl",
    "reward": "reward",
    "completions/mean_length": "length",
    "rewards/margins": "margin",
    "mean_token_accuracy": "token_accuracy",
    "num_tokens": "tokens",
}
"""What TRL's trainers call a step's figures, and what they are called here."""


@dataclass
class Watched:
    """What came of watching.

    Attributes:
        history: the model before its first update, then each checkpoint within the limits, by step.
        stopped: why training ended early; None where it went to its end.
    """

    history: list[Measured]
    stopped: str | None = None


class Ended(Exception):
    """Nothing is left to train: a run that was killed had crossed a limit at the checkpoint that it goes on from.

    The trainer looks at ``should_training_stop`` only after a step.
    """


class Holdout:
    """Measures a model on the holdout, against the champion."""

    def __init__(self, job: Job, tokenizer: Any, rewarder: Rewarder) -> None:
        self._job, self._tokenizer, self._rewarder = job, tokenizer, rewarder
        self._questions = list(job.holdout)
        self._champion: Any = None

    def __bool__(self) -> bool:
        return bool(self._questions)

    def measure(self, model: Any, step: int) -> Measured:
        """Greedy answers to all its queries, their rewards, and what the model's probabilities are along them.

        Every process of a run answers them, since each may hold a part of the weights; what the first one measured
        counts for all, so that all come to the same decision.
        """
        import torch

        was_training = model.training
        model.eval()
        try:
            with torch.no_grad():
                prompts, answers = self._answers(model)
                kl, entropy = self._probabilities(model, prompts, answers)
        finally:
            self._champion = None  # a whole model, which is not to lie beside the training
            torch.cuda.empty_cache() if torch.cuda.is_available() else None
            model.train(was_training)
        texts = self._tokenizer.batch_decode(answers, skip_special_tokens=True)
        first = int(os.environ.get("RANK", "0")) == 0
        rewards = self._rewarder(self._questions, texts) if first else []
        known = [reward for reward in rewards if reward is not None]
        measured = Measured(
            step=step,
            reward=sum(known) / len(known) if known else None,
            kl=kl,
            entropy=entropy,
            length=sum(map(len, answers)) / len(answers),
            n=len(answers),
            rewards=tuple(rewards),
        )
        return _of_the_first(measured)

    def _answers(self, model: Any) -> tuple[list[list[int]], list[list[int]]]:
        import torch

        tokenizer, end = self._tokenizer, ends.of_answers(model, self._tokenizer)
        prompts = [prompt_ids(question.messages, tokenizer) for question in self._questions]
        _gathered(model)
        answers: list[list[int]] = []
        for start in range(0, len(prompts), 4 * _ROWS):
            some = prompts[start : start + 4 * _ROWS]
            ids, mask = left_padded(some, tokenizer.pad_token_id, model.device)
            most = max(q.max_tokens for q in self._questions[start : start + 4 * _ROWS])
            found = model.generate(
                input_ids=ids,
                attention_mask=mask,
                max_new_tokens=most,
                do_sample=False,
                temperature=None,
                top_p=None,
                top_k=None,
                pad_token_id=tokenizer.pad_token_id,
                eos_token_id=end,
            )[:, ids.shape[1] :].tolist()
            for question, row in zip(self._questions[start:], found, strict=False):
                answers.append(ends.cut(row[: question.max_tokens], end))
        torch.cuda.empty_cache() if torch.cuda.is_available() else None
        return prompts, answers

    def _probabilities(
        self, model: Any, prompts: Sequence[list[int]], answers: Sequence[list[int]]
    ) -> tuple[float, float]:
        """Mean divergence from the champion and mean entropy, nats per token of the answers."""
        kl = entropy = 0.0
        tokens = 0
        most = rows_at_once(max(map(len, answers)), model.config.vocab_size)
        for start in range(0, len(answers), most):
            rows = list(zip(prompts[start : start + most], answers[start : start + most], strict=True))
            mine = self._log_probabilities(model, rows)
            with self._as_champion(model) as champion:
                theirs = self._log_probabilities(champion, rows)
            for here, there in zip(mine, theirs, strict=True):
                kl += float((here.exp() * (here - there)).sum())
                entropy -= float((here.exp() * here).sum())
                tokens += len(here)
        return kl / max(1, tokens), entropy / max(1, tokens)

    def _log_probabilities(self, model: Any, rows: Sequence[tuple[list[int], list[int]]]) -> list[Any]:
        """Of each row, the log-probabilities of every token of the vocabulary at each token of the answer."""
        kept = max(len(answer) for _, answer in rows)
        ids, mask = left_padded([p + a for p, a in rows], self._tokenizer.pad_token_id, model.device)
        logits = model(input_ids=ids, attention_mask=mask, logits_to_keep=kept + 1).logits[:, :-1]
        return [logits[i, kept - len(answer) :].float().log_softmax(-1) for i, (_, answer) in enumerate(rows)]

    def _as_champion(self, model: Any) -> AbstractContextManager[Any]:
        """The champion's probabilities: the model without its adapter, where that is the champion."""
        from transformers import AutoModelForCausalLM

        if self._job.config.tune is Tune.LORA and self._job.base.model_version == self._job.champion.model_version:
            return _without_adapter(model)
        if self._champion is None:
            with checkpoints.on_one_device():
                champion = AutoModelForCausalLM.from_pretrained(self._job.champion.path, dtype=model.dtype)
            self._champion = champion.to(model.device).eval()
        return nullcontext(self._champion)


def rows_at_once(tokens: int, vocabulary: int) -> int:
    """Answers of so many tokens whose probabilities are computed at once; at least one.

    >>> rows_at_once(64, 49_152), rows_at_once(512, 151_936), rows_at_once(4096, 151_936)
    (8, 3, 1)
    """
    return max(1, min(_ROWS, _BYTES // (4 * max(1, tokens) * vocabulary)))


@contextmanager
def _without_adapter(model: Any) -> Iterator[Any]:
    with model.disable_adapter():
        yield model


def _gathered(model: Any) -> None:
    """Where FSDP2 spreads the weights: have it gather those of the outermost module for ``generate`` too.

    By itself it does so for ``forward``, which generation does not go through.
    """
    if processes() == 1:
        return
    from torch.distributed import fsdp

    spread: bool = isinstance(model, fsdp.FSDPModule)
    if spread and "generate" not in vars(model):
        fsdp.register_fsdp_forward_method(model, "generate")


def steps(say: Progress, sink: Sink = lambda step, figures: None) -> Any:
    """A callback that tells each step's figures to ``sink``, and progress, with the time that is left, to ``say``."""
    from transformers import TrainerCallback

    class Steps(TrainerCallback):  # type: ignore[misc]
        """Each step's figures, and progress as lines of the log."""

        def __init__(self) -> None:
            self.started = self.last = time.monotonic()
            self.first = 0

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.started = self.last = time.monotonic()
            self.first = state.global_step

        def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            logs: Mapping[str, Any] = kwargs.get("logs") or {}
            if "loss" not in logs:
                return
            loss, step, most = float(logs["loss"]), state.global_step, state.max_steps
            if not math.isfinite(loss) or not math.isfinite(float(logs.get("grad_norm") or 0.0)):
                raise DataError(
                    f"the loss is not a number at step {step} of {most}",
                    where="update",
                    mend="lower update.learning_rate; with precision bf16, try fp32",
                )
            if not state.is_world_process_zero:
                return
            sink(step, {name: float(logs[key]) for key, name in _FIGURES.items() if logs.get(key) is not None})
            now = time.monotonic()
            if now - self.last < _REPORT_EVERY and step < most:
                return
            self.last = now
            pace = (now - self.started) / max(1, step - self.first)
            further = "".join(
                f", {name} {float(logs[key]):.3f}"
                for key, name in (("reward", "reward"), ("kl", "divergence"), ("entropy", "entropy"))
                if logs.get(key) is not None
            )
            left = f"{pace:.1f} s a step, about {pace * (most - step):.0f} s left"
            say(f"step {step}/{most}, loss {loss:.3f}{further}, {left}")

    return Steps()


def callbacks(
    job: Job, holdout: Holdout, say: Progress, sink: Sink, *, trained_length: float, model_of: Callable[[], Any]
) -> tuple[Any, list[Any]]:
    """What came of watching, filled as the run goes, and the trainer's callbacks that fill it."""
    from transformers import TrainerCallback

    watched = Watched([])

    class Checkpoints(TrainerCallback):  # type: ignore[misc]
        """Measures each checkpoint as soon as it is written; the best one is never removed."""

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            watched.history[:] = _of_the_first(_history(job.scratch, state.global_step))
            if watched.history:
                state.best_model_checkpoint = _checkpoint(job.scratch, watched.history)
            # A run that was killed as it measured its checkpoint measures it now.
            if holdout and state.global_step not in {one.step for one in watched.history}:
                self._measured(holdout.measure(model_of(), state.global_step), state, control)
            if watched.stopped is not None:
                raise Ended

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.is_world_process_zero:
                checkpoints.see_that_nothing_was_erased(job)
            if not holdout:
                return
            self._measured(holdout.measure(model_of(), state.global_step), state, control)

        def _measured(self, now: Measured, state: Any, control: Any) -> None:
            if state.is_world_process_zero:
                say(now.sentence())
                told = {"reward": now.reward, "kl": now.kl, "entropy": now.entropy, "length": now.length}
                sink(now.step, {f"holdout_{name}": value for name, value in told.items() if value is not None})
            start = watched.history[0] if watched.history else now
            if now.step:
                watched.stopped = limits.crossed(job.config.watch.limits, start, now, trained_length=trained_length)
            if watched.stopped is not None:
                if state.is_world_process_zero:
                    say(f"stopped after step {now.step}: {watched.stopped}")
                control.should_training_stop = True
                return
            watched.history.append(now)
            if state.is_world_process_zero:
                checkpoints.see_that_nothing_was_erased(job)
                write_json(job.scratch / HISTORY, [one.as_dict() for one in watched.history])
            if now.step:
                state.best_model_checkpoint = _checkpoint(job.scratch, watched.history)

    return watched, [steps(say, sink), Checkpoints()]


def _of_the_first(found: _Found) -> _Found:
    """What the first process of a run found."""
    if processes() == 1:
        return found
    from accelerate.utils import broadcast_object_list

    told = [found]
    broadcast_object_list(told)
    return told[0]


def _history(scratch: Path, step: int) -> list[Measured]:
    """What was measured up to ``step``, by an attempt that was killed after it."""
    path = scratch / HISTORY
    if not step or not path.is_file():
        return []
    told = json.loads(path.read_text(encoding="utf-8"))
    every = [Measured(**{**one, "rewards": tuple(one["rewards"])}) for one in told]
    return [one for one in every if one.step <= step]


def _checkpoint(scratch: Path, history: Sequence[Measured]) -> str | None:
    kept = [one for one in history if one.step]
    return str(scratch / f"checkpoint-{limits.best(kept).step}") if kept else None
