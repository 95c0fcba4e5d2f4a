"""Training through TRL: one file per kind of method, one way to run them all."""

import gc
import math
import resource
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from tao_ops.backends.trl_trainer import checkpoints, grpo, limits, preferences, raft, watch
from tao_ops.backends.trl_trainer.arguments import processes, run_arguments
from tao_ops.backends.trl_trainer.job import (
    Best,
    Example,
    Group,
    Job,
    Judged,
    Preference,
    Question,
    Rewarder,
    Sink,
)
from tao_ops.backends.trl_trainer.quiet import quiet
from tao_ops.config import Method, Tune
from tao_ops.errors import ConfigError, DataError, EngineError, ModelError, TaoError
from tao_ops.records import Progress

__all__ = [
    "Best",
    "Example",
    "Group",
    "Job",
    "Judged",
    "Preference",
    "Question",
    "Rewarder",
    "Sink",
    "nothing_to_learn",
    "run_arguments",
    "train",
    "trained",
]


def train(
    job: Job, rewarder: Rewarder, *, say: Progress = print, sink: Sink = lambda step, figures: None
) -> dict[str, Any]:
    """Train as the job says, and write the candidate, merged, into ``job.folder``.

    A run that was killed goes on from its last checkpoint in ``job.scratch``, and ends as if it had not been: to the
    bit on a CPU; on a GPU up to the order of its sums; with vLLM as the sampler the samples differ.

    Returns:
        ``loss`` (mean over training), ``loss_first``, ``loss_last``, ``steps``, ``tokens`` (seen in training),
        ``seconds`` of training and ``peak_mib`` of memory (the GPU's, where there is one); ``kept_step``, the update
        whose checkpoint was kept; ``stopped``, why it ended early, or None; ``holdout``, what was measured; and what
        ``checkpoints.merge`` tells.

    Raises:
        ModelError: the model's tokenizer is not its own, or checkpoints of another model lie in ``job.scratch``.
        ConfigError: several GPUs are visible to one process.
        DataError: the loss is no number, there was nothing to learn from, or no checkpoint was within the limits; to
            run again would end the same.
        EngineError: training failed, or the rows were erased meanwhile.
    """
    import torch

    if processes() == 1 and torch.cuda.device_count() > 1:
        raise ConfigError(
            f"one process cannot train on the {torch.cuda.device_count()} GPUs that it sees",
            where="update.accelerate",
            mend="set update.accelerate: accelerate/ddp.yaml, or CUDA_VISIBLE_DEVICES=0",
        )
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    say("loading the model and the trainer")
    with quiet():
        return _train(job, rewarder, say, sink)


def nothing_to_learn(error: TaoError) -> bool:
    """Whether a run failed since no response was better than another: the model that it began at may stay."""
    return isinstance(error, DataError) and grpo.NOTHING in error.what


def _train(job: Job, rewarder: Rewarder, say: Progress, sink: Sink) -> dict[str, Any]:
    import torch
    from transformers import AutoTokenizer, set_seed

    resumed = _prepared(job, say)
    set_seed(job.seed)
    tokenizer = AutoTokenizer.from_pretrained(job.base.path)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    try:
        metrics, watched, main = _fit(job, tokenizer, rewarder, say, sink, resumed)
    except (RuntimeError, ValueError, MemoryError) as error:
        raise EngineError(f"training failed: {error}", where=job.base.path) from error
    kept = _kept(job, watched, metrics["steps"])
    gc.collect()
    torch.cuda.empty_cache() if torch.cuda.is_available() else None
    merged: dict[str, float] = {}
    if main:
        say(f"keeping the checkpoint of step {kept} of {metrics['steps']}")
        merged = checkpoints.merge(job, job.scratch / f"checkpoint-{kept}", tokenizer, say)
        checkpoints.see_that_nothing_was_erased(job)
        checkpoints.remove(job.scratch)
    return {
        **metrics,
        "peak_mib": _peak_mib(),
        "kept_step": kept,
        "stopped": watched.stopped,
        "holdout": [one.as_dict() for one in watched.history],
        **merged,
    }


def _fit(
    job: Job, tokenizer: Any, rewarder: Rewarder, say: Progress, sink: Sink, resumed: str | None
) -> tuple[dict[str, Any], watch.Watched, bool]:
    """Train; the figures, what was watched, and whether this is the process that writes the candidate."""
    import torch
    from transformers import AutoModelForCausalLM

    dtype = torch.bfloat16 if job.config.precision == "bf16" and job.config.tune is Tune.LORA else torch.float32
    model = AutoModelForCausalLM.from_pretrained(job.base.path, dtype=dtype)
    if model.config.vocab_size < len(tokenizer):
        raise ModelError("the tokenizer has more tokens than the model", where=job.base.path)
    trainer = _trainer(job, model, tokenizer, rewarder)
    watched, callbacks = watch.callbacks(
        job,
        watch.Holdout(job, tokenizer, rewarder),
        say,
        sink,
        trained_length=_mean_length(job.examples, tokenizer),
        model_of=lambda: trainer.accelerator.unwrap_model(trainer.model),
    )
    started = time.monotonic()
    metrics = trained(trainer, callbacks, resumed)
    metrics["seconds"] = round(time.monotonic() - started, 1)
    if job.method in {Method.GRPO, Method.GRPO_OFFLINE}:
        grpo.see_that_something_was_learnt(trainer)
    trainer.accelerator.wait_for_everyone()
    return metrics, watched, trainer.is_world_process_zero()


def trained(trainer: Any, callbacks: Sequence[Any], resumed: str | None = None) -> dict[str, Any]:
    """Run a trainer of TRL to its end under ``callbacks``; its losses, steps and tokens."""
    trainer.callback_handler.callbacks = [
        c for c in trainer.callback_handler.callbacks if type(c).__name__ != "PrinterCallback"
    ]
    for callback in callbacks:
        trainer.add_callback(callback)
    trainer.add_callback(_tokens(trainer))
    with suppress(watch.Ended):
        trainer.train(resume_from_checkpoint=resumed)
    logs = trainer.state.log_history
    losses = [float(entry["loss"]) for entry in logs if "loss" in entry]
    return {
        "loss": sum(losses) / len(losses),
        "loss_first": losses[0],
        "loss_last": losses[-1],
        "steps": int(trainer.state.global_step),
        "tokens": _seen(logs),
    }


def _tokens(trainer: Any) -> Any:
    """A callback that goes on with the count of tokens where a killed run was: TRL begins at 0."""
    from transformers import TrainerCallback

    class Tokens(TrainerCallback):  # type: ignore[misc]
        """Restores the count from the log."""

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            trainer._total_train_tokens = _seen(state.log_history)

    return Tokens()


def _seen(logs: Sequence[dict[str, Any]]) -> int:
    return int(next((entry["num_tokens"] for entry in reversed(logs) if "num_tokens" in entry), 0))


def _prepared(job: Job, say: Progress) -> str | None:
    """What the run goes on from; of several processes, the first looks, and tells the others."""
    if processes() == 1:
        return checkpoints.prepare(job, say)
    import torch
    from accelerate import PartialState
    from accelerate.utils import broadcast_object_list

    state = PartialState(cpu=not torch.cuda.is_available())
    told = [checkpoints.prepare(job, say) if state.is_main_process else None]
    broadcast_object_list(told)
    return told[0]


def _trainer(job: Job, model: Any, tokenizer: Any, rewarder: Rewarder) -> Any:
    match job.method:
        case Method.RAFT:
            return raft.trainer(job, model, tokenizer)
        case Method.DPO:
            return preferences.dpo(job, model, tokenizer)
        case Method.KTO:
            return preferences.kto(job, model, tokenizer)
        case Method.GRPO_OFFLINE:
            return grpo.offline(job, model, tokenizer)
        case Method.GRPO:
            return grpo.on_policy(job, model, tokenizer, rewarder)


def _kept(job: Job, watched: watch.Watched, steps: int) -> int:
    """The update whose checkpoint is the best, or the last one's where nothing is measured."""
    if not job.holdout:
        return steps
    measured = [one for one in watched.history if one.step]
    if not measured:
        raise DataError(
            f"no checkpoint was within the limits: {watched.stopped}",
            where="update.watch.limits",
            mend="lower update.learning_rate, or allow more",
        )
    return limits.best(measured).step


def _mean_length(examples: Sequence[Example], tokenizer: Any) -> float:
    """Mean tokens of the responses that are trained on; 0 where there are none."""
    texts: list[str] = []
    for one in examples:
        match one:
            case Best() | Judged():
                texts.append(one.response)
            case Preference():
                texts += [one.chosen, one.rejected]
            case Group():
                texts += one.responses
            case _:
                pass
    lengths = [len(ids) + 1 for ids in tokenizer(texts, add_special_tokens=False)["input_ids"]] if texts else []
    return sum(lengths) / len(lengths) if lengths else 0.0


def _peak_mib() -> int:
    import torch

    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated() / 2**20)
    return math.ceil(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
