"""Training through TRL."""

import gc
import json
import logging
import math
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tao_ops.config import UpdateConfig
from tao_ops.errors import EngineError, ModelError
from tao_ops.records import Message, ModelRef, Progress

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_REPORT_EVERY = 10.0
"""Seconds between two lines of progress."""
_KEPT = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")


@dataclass(frozen=True)
class Example:
    """A conversation under the production prompt, and the response to learn."""

    messages: Sequence[Message]
    response: str


def raft(
    base: ModelRef,
    examples: Sequence[Example],
    config: UpdateConfig,
    *,
    seed: int,
    folder: Path,
    say: Progress = print,
) -> dict[str, Any]:
    """Fine-tune a LoRA adapter on the best responses and merge it into ``folder``, in the base's own dtype.

    Reward-ranked fine-tuning (Dong et al., RAFT, arXiv 2304.06767): the loss is the mean negative log-likelihood of
    the response's tokens; the prompt's tokens don't count.

    Returns:
        ``loss`` (mean over training, nats per token), ``loss_last``, ``steps``, ``tokens`` (seen in training).

    Raises:
        EngineError: training failed, or its loss is not a number.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    say("loading the model and the trainer")
    tokenizer = AutoTokenizer.from_pretrained(base.path)
    dtype = torch.float32 if config.precision == "fp32" else torch.bfloat16
    model = AutoModelForCausalLM.from_pretrained(base.path, dtype=dtype)
    if model.config.vocab_size < len(tokenizer):
        raise ModelError("the tokenizer has more tokens than the model", where=base.path)
    try:
        trained, metrics = _fit(model, tokenizer, examples, config, seed, folder.with_name(".trainer"), say)
    except (RuntimeError, MemoryError) as error:
        raise EngineError(f"training failed: {error}", where=base.path) from error
    finally:
        shutil.rmtree(folder.with_name(".trainer"), ignore_errors=True)
    if not all(map(math.isfinite, (metrics["loss"], metrics["loss_last"]))):
        raise EngineError(f"the loss is not a number: {metrics}", mend="lower update.learning_rate")
    say("merging the adapter")
    merged = trained.merge_and_unload().to(_stored_dtype(base))
    merged.save_pretrained(folder)
    for name in (*_KEPT, "generation_config.json"):
        if (Path(base.path) / name).is_file():
            shutil.copyfile(Path(base.path) / name, folder / name)
    del merged, trained, model
    gc.collect()
    return metrics


def _fit(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    examples: Sequence[Example],
    config: UpdateConfig,
    seed: int,
    scratch: Path,
    say: Progress,
) -> tuple[Any, dict[str, Any]]:
    from datasets import Dataset
    from peft import LoraConfig
    from trl import SFTTrainer

    logging.getLogger("trl").setLevel(logging.ERROR)
    rows = [
        {"prompt": list(e.messages), "completion": [{"role": "assistant", "content": e.response}]} for e in examples
    ]
    lora = LoraConfig(
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        lora_dropout=0.0,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    trainer = SFTTrainer(
        model=model,
        args=_arguments(config, seed, scratch),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=lora,
    )
    return trainer.model, trained(trainer, say)


def trained(trainer: Any, say: Progress) -> dict[str, Any]:
    """Run a trainer of TRL to its end, its progress as lines of the log; its losses, steps and tokens."""
    trainer.callback_handler.callbacks = [
        c for c in trainer.callback_handler.callbacks if type(c).__name__ != "PrinterCallback"
    ]
    trainer.add_callback(_progress(say))
    result = trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    tokens = next((e["num_tokens"] for e in reversed(trainer.state.log_history) if "num_tokens" in e), 0)
    return {
        "loss": float(result.training_loss),
        "loss_first": float(losses[0]),
        "loss_last": float(losses[-1]),
        "steps": int(result.global_step),
        "tokens": int(tokens),
    }


def _arguments(config: UpdateConfig, seed: int, scratch: Path) -> Any:
    from trl import SFTConfig

    shared = run_arguments(config.epochs, config.batch_size, config.learning_rate, seed=seed, scratch=scratch)
    return SFTConfig(**shared, bf16=config.precision == "bf16", max_length=None, completion_only_loss=True)


def run_arguments(epochs: int, batch_size: int, learning_rate: float, *, seed: int, scratch: Path) -> dict[str, Any]:
    """What every training run of TRL here is told: seeded, without checkpoints, reports and bars of its own."""
    import torch

    return {
        "output_dir": str(scratch),
        "num_train_epochs": epochs,
        "per_device_train_batch_size": batch_size,
        "learning_rate": learning_rate,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 0.1,
        "seed": seed,
        "data_seed": seed,
        "use_cpu": not torch.cuda.is_available(),
        "gradient_checkpointing": False,
        "save_strategy": "no",
        "logging_steps": 1,
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }


def _progress(say: Progress) -> Any:
    from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

    class Lines(TrainerCallback):  # type: ignore[misc]
        """Progress as lines of a log."""

        def __init__(self) -> None:
            self.started = self.last = time.monotonic()

        def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
            now, loss = time.monotonic(), (kwargs.get("logs") or {}).get("loss")
            done = state.global_step >= state.max_steps
            if loss is None or (now - self.last < _REPORT_EVERY and not done):
                return
            self.last = now
            left = (now - self.started) / state.global_step * (state.max_steps - state.global_step)
            say(f"step {state.global_step}/{state.max_steps}, loss {float(loss):.3f}, about {left:.0f} s left")

    return Lines()


def _stored_dtype(base: ModelRef) -> Any:
    import torch

    name = json.loads((Path(base.path) / "config.json").read_text(encoding="utf-8")).get("dtype", "bfloat16")
    return getattr(torch, name)
