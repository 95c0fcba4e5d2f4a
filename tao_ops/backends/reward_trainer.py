"""Training a reward model through TRL."""

import gc
import logging
import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tao_ops.backends.special_tokens import disarmed
from tao_ops.backends.trl_trainer import run_arguments, trained
from tao_ops.backends.trl_trainer.watch import steps
from tao_ops.errors import EngineError, ModelError
from tao_ops.records import Message, Progress

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_CENTRED = 0.01
"""Weight of the squared sum of a pair's numbers, which keeps them around 0 (Eisenstein et al., arXiv 2312.09244)."""


@dataclass(frozen=True)
class Pair:
    """Two whole conversations that differ in their answers, the better one first."""

    chosen: Sequence[Message]
    rejected: Sequence[Message]


@dataclass(frozen=True)
class RewardTraining:
    """How a reward model is trained.

    Attributes:
        batch_size: pairs of a step.
        max_length: longest conversation, in tokens; pairs with a longer one are left out.
    """

    epochs: int = 2
    batch_size: int = 8
    learning_rate: float = 5e-4
    lora_rank: int = 16
    lora_alpha: int = 32
    max_length: int = 1024


def train(
    base: Path, pairs: Sequence[Pair], how: RewardTraining, *, seed: int, folder: Path, say: Progress = print
) -> dict[str, Any]:
    """Train a sequence classification with one label on ``base`` and save it, whole, into ``folder``.

    The loss is that of Bradley and Terry's model, -log σ(chosen - rejected) (Ouyang et al., arXiv 2203.02155, eq. 1).
    Adapters of low rank learn beside a head that is new; they are merged, so that what is saved is a plain folder in
    the Hugging Face layout, in safetensors, in the base's own dtype.

    Returns:
        ``loss`` (mean over training), ``loss_last``, ``steps``, ``tokens`` and ``pairs`` (seen in an epoch).

    Raises:
        ModelError: the base cannot be loaded.
        EngineError: training failed, its loss is not a number, or no pair is short enough.
    """
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    say("loading the model and the trainer")
    logging.getLogger("transformers").setLevel(logging.ERROR)  # that the head is new is no news
    torch.manual_seed(seed)  # it begins at random
    local = {"trust_remote_code": False, "local_files_only": True}
    try:
        tokenizer = AutoTokenizer.from_pretrained(base, **local)
        model = AutoModelForSequenceClassification.from_pretrained(
            base, num_labels=1, dtype=torch.float32, use_safetensors=True, **local
        )
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"the base of the reward model cannot be loaded: {error}", where=base) from error
    scratch = folder.with_name(f".{folder.name}.trainer")
    try:
        trained, metrics = _fit(model, tokenizer, pairs, how, seed, scratch, say)
    except (RuntimeError, ValueError, MemoryError) as error:
        raise EngineError(f"training failed: {error}", where=base) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if not all(map(math.isfinite, (metrics["loss"], metrics["loss_last"]))):
        raise EngineError(f"the loss is not a number: {metrics}", mend="lower the learning rate")
    say("merging the adapter")
    merged = trained.merge_and_unload().to(_stored_dtype(base))
    merged.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    del merged, trained, model
    gc.collect()
    return metrics


def _fit(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    pairs: Sequence[Pair],
    how: RewardTraining,
    seed: int,
    scratch: Path,
    say: Progress,
) -> tuple[Any, dict[str, Any]]:
    from datasets import Dataset
    from peft import LoraConfig
    from trl import RewardTrainer

    logging.getLogger("trl").setLevel(logging.ERROR)
    rows = [
        {"chosen": disarmed(tokenizer, pair.chosen), "rejected": disarmed(tokenizer, pair.rejected)} for pair in pairs
    ]
    lora = LoraConfig(
        r=how.lora_rank,
        lora_alpha=how.lora_alpha,
        lora_dropout=0.0,
        target_modules="all-linear",
        modules_to_save=["score"],
        task_type="SEQ_CLS",
    )
    trainer = RewardTrainer(
        model=model,
        args=_arguments(how, seed, scratch),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=lora,
    )
    kept = len(trainer.train_dataset)
    if not kept:
        raise EngineError(f"no pair is within {how.max_length} tokens", mend="train with a larger max_length")
    if kept < len(pairs):
        say(f"{len(pairs) - kept} pairs are longer than {how.max_length} tokens and left out")
    return trainer.model, {**trained(trainer, [steps(say)]), "pairs": kept}


def _arguments(how: RewardTraining, seed: int, scratch: Path) -> Any:
    from trl import RewardConfig

    shared = run_arguments(how.epochs, how.batch_size, how.learning_rate, seed=seed, scratch=scratch)
    return RewardConfig(**shared, bf16=False, max_length=how.max_length, center_rewards_coefficient=_CENTRED)


def _stored_dtype(base: Path) -> Any:
    import torch
    from transformers import AutoConfig

    stored = AutoConfig.from_pretrained(base, trust_remote_code=False, local_files_only=True).dtype
    return stored or torch.float32
