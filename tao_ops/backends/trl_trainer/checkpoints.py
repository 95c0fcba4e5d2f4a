"""Checkpoints of a run that was killed, and what is made of the one that is kept."""

import gc
import hashlib
import json
import math
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tao_ops.backends.trl_trainer import ends
from tao_ops.backends.trl_trainer.encoding import prompt_ids
from tao_ops.backends.trl_trainer.job import Best, Example, Group, Job, Judged, Preference, Question
from tao_ops.config import Tune
from tao_ops.errors import EngineError, ModelError
from tao_ops.files import write_json
from tao_ops.models import model_facts
from tao_ops.records import ModelRef, Progress

_TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")
_JOB = "job.json"
_COMPARED = 16
"""Examples that adapter and merged model are compared on."""
_AGREE = 0.95
"""Least share of tokens that both must choose."""
_TIE = 0.1
"""Nats between two tokens that rounding to the stored dtype may decide."""
_LIKELIEST = 8
_DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
"""What safetensors call a dtype, and what torch does."""


def prepare(job: Job, say: Progress) -> str | None:
    """Make the scratch folder, and find the checkpoint of this very run to go on from.

    Raises:
        ModelError: the checkpoints there are of another model or tokenizer.
    """
    told = {"model": job.base.model_version, "tokenizer": tokenizer_digest(job.base), "run": job.fingerprint}
    path = job.scratch / _JOB
    if path.is_file():
        before = json.loads(path.read_text(encoding="utf-8"))
        for what in ("model", "tokenizer"):
            if before.get(what) != told[what]:
                raise ModelError(
                    f"the checkpoints are of {what} {before.get(what)}, this run starts at {told[what]}",
                    where=job.scratch,
                    mend="remove that folder to train anew, or start the turn as another run",
                )
        found = newest(job.scratch)
        if before == told and found is not None:
            say(f"going on from {found.name}")
            for path in job.scratch.glob("checkpoint-*"):
                if not _whole(path):
                    shutil.rmtree(path)  # a kill came as it was written
            return str(found)
        if before != told:
            say("the checkpoints there are of other rows or settings: training anew")
    shutil.rmtree(job.scratch, ignore_errors=True)
    job.scratch.mkdir(parents=True)
    write_json(path, told)
    return None


def newest(scratch: Path) -> Path | None:
    """The last checkpoint that was written whole: the trainer's state comes last."""
    found = [path for path in scratch.glob("checkpoint-*") if _whole(path)]
    return max(found, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def _whole(checkpoint: Path) -> bool:
    try:
        json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return True


def remove(scratch: Path) -> None:
    """Remove the scratch folder, so that a kill on the way leaves no checkpoint that looks whole."""
    (scratch / _JOB).unlink(missing_ok=True)
    shutil.rmtree(scratch)


def see_that_nothing_was_erased(job: Job) -> None:
    """Raise, and leave nothing, where the folder of the run was removed under it: its rows were erased.

    The trainer makes a folder anew where it is to write a checkpoint, which has learnt those rows.

    Raises:
        EngineError: so it was; the next attempt does without the rows.
    """
    if (job.scratch / _JOB).is_file():
        return
    for folder in (job.scratch, job.folder):
        shutil.rmtree(folder, ignore_errors=True)
    raise EngineError("the rows that it is trained on were erased meanwhile", where=job.scratch, mend="run again")


@contextmanager
def on_one_device() -> Iterator[None]:
    """Load models whole: while ZeRO-3 trains, transformers would spread whatever is loaded over the processes."""
    from transformers.integrations import deepspeed

    before = deepspeed._hf_deepspeed_config_weak_ref
    deepspeed.unset_hf_deepspeed_config()
    try:
        yield
    finally:
        deepspeed._hf_deepspeed_config_weak_ref = before


def tokenizer_digest(model: ModelRef) -> str:
    """First 16 hex digits of the SHA-256 of the files that a model's tokenizer and chat template are in."""
    sha = hashlib.sha256()
    for name in _TOKENIZER:
        path = Path(model.path) / name
        sha.update(path.read_bytes() if path.is_file() else b"\0")
    return sha.hexdigest()[:16]


def merge(job: Job, checkpoint: Path, tokenizer: Any, say: Progress) -> dict[str, float]:
    """Write the checkpoint as a whole model into ``job.folder``: safetensors in the base's dtype, tokenizer, template.

    Returns:
        ``merged_agreement``, the share of tokens of trained responses on which the merged model, in its own dtype,
        and the adapter choose the same, or one that is as likely but for rounding, and ``merged_difference``, the mean
        absolute difference of their log-probabilities.

    Raises:
        EngineError: the merged model is another one than was trained.
    """
    import torch

    with on_one_device():
        model = _trained(job, checkpoint)
    compared = _compared(model, tokenizer, job.examples)
    before = _chosen(model, compared)
    if job.config.tune is Tune.LORA:
        model = model.merge_and_unload()
    model = model.to(stored_dtype(job.base))
    job.folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(job.folder)
    for name in (*_TOKENIZER, "generation_config.json"):
        if (Path(job.base.path) / name).is_file():
            shutil.copyfile(Path(job.base.path) / name, job.folder / name)
    del model
    gc.collect()
    torch.cuda.empty_cache() if torch.cuda.is_available() else None
    with on_one_device():
        merged = _loaded(job.folder, "auto")
    after = _chosen(merged, compared)
    same = sum(a.chooses_as(b) for a, b in zip(before, after, strict=True))
    difference = sum(float((a.own - b.own).abs().sum()) for a, b in zip(before, after, strict=True))
    total = sum(len(one.own) for one in before)
    told = {"merged_agreement": same / total, "merged_difference": difference / total}
    say(f"merged model and checkpoint choose the same at {same} of {total} tokens")
    if told["merged_agreement"] < _AGREE or not math.isfinite(difference):
        shutil.rmtree(job.folder)
        raise EngineError(
            f"the merged model chooses another token than what was trained at {total - same} of {total}, their "
            f"log-probabilities differ by {difference / total:.3f}",
            where=job.folder,
            mend="train with update.precision: fp32, or a lower learning rate",
        )
    return told


def _trained(job: Job, checkpoint: Path) -> Any:
    """The model as it was trained: its adapter still beside it, or all of its weights, which are trained in fp32."""
    import torch
    from peft import PeftModel

    if job.config.tune is Tune.FULL:
        return _loaded(checkpoint, torch.float32)
    base = _loaded(job.base.path, torch.float32 if job.config.precision == "fp32" else torch.bfloat16)
    return PeftModel.from_pretrained(base, checkpoint).eval()


def _loaded(folder: Path | str, dtype: Any) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()
    return model.to("cuda") if torch.cuda.is_available() else model


def _compared(model: Any, tokenizer: Any, examples: Sequence[Example]) -> list[tuple[list[int], int]]:
    """Conversations to compare on, and how many of each one's tokens, at its end, are compared.

    A response that was trained on; to a query that the model answers itself, its own greedy answer.
    """
    import torch

    found, end = [], ends.of_turns(tokenizer)
    for one in examples[:_COMPARED]:
        prompt = prompt_ids(one.messages, tokenizer)
        if isinstance(one, Question):
            ids = torch.tensor([prompt], device=model.device)
            asked = {"max_new_tokens": one.max_tokens, "do_sample": False, "pad_token_id": tokenizer.pad_token_id}
            with torch.no_grad():
                told = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), **asked)
            answer = told[0, len(prompt) :].tolist()
        else:
            answer = [*tokenizer.encode(_learnt(one), add_special_tokens=False), end]
        found.append((prompt + answer, len(answer)))
    return found


def _learnt(one: Best | Judged | Preference | Group) -> str:
    match one:
        case Best() | Judged():
            return one.response
        case Preference():
            return one.chosen
        case Group():
            return max(zip(one.rewards, one.responses, strict=True))[1]


@dataclass(frozen=True)
class _Along:
    """What a model says along an answer: its likeliest tokens and their log-probabilities, and the answer's own."""

    likeliest: Any
    log_probabilities: Any
    own: Any

    def chooses_as(self, other: "_Along") -> int:
        """Tokens at which ``other`` chooses what this one does, or what is as likely but for rounding."""
        near = self.log_probabilities >= self.log_probabilities[:, :1] - _TIE
        return int((near & (self.likeliest == other.likeliest[:, :1])).any(1).sum())


def _chosen(model: Any, rows: Sequence[tuple[list[int], int]]) -> list[_Along]:
    import torch

    found = []
    for ids, kept in rows:
        told = torch.tensor([ids], device=model.device)
        with torch.no_grad():
            logits = model(input_ids=told, logits_to_keep=kept + 1).logits[0, :-1].float()
        every = logits.log_softmax(-1)
        top = every.topk(_LIKELIEST)
        found.append(_Along(top.indices, top.values, every.gather(1, told[0, -kept:, None]).squeeze(1)))
    return found


def stored_dtype(base: ModelRef) -> Any:
    """The dtype of a model's weights as they are stored; of several, the one that its configuration tells."""
    import torch

    name = _DTYPES.get(model_facts(base).dtype)
    if name is None:
        config = json.loads((Path(base.path) / "config.json").read_text(encoding="utf-8"))
        name = config.get("dtype") or config.get("torch_dtype") or "bfloat16"
    return getattr(torch, name)
