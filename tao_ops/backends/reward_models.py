"""Reward models: sequence classification with one label, by transformers or on vLLM."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tao_ops.backends.special_tokens import disarmed
from tao_ops.backends.vllm_loop import is_out_of_memory
from tao_ops.config import EngineConfig, RewardModelConfig
from tao_ops.errors import EngineError, ModelError
from tao_ops.models import check_model_folder
from tao_ops.records import Message, Progress

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TOO_LONG, NO_TEMPLATE = "too long for the reward model", "its chat template refuses the conversation"
_ENDLESS = 10**9
"""Tokens of the context of a model that does not tell it."""
_MEND = "name a folder with one label, made by 'tao reward fit' or save_pretrained"


class RewardModel(Protocol):
    """Gives whole conversations, answers last, one number each, unbounded; or the reason of none."""

    def __call__(self, conversations: Sequence[Sequence[Message]]) -> list[float | str]:
        """One number or reason for each conversation, in its order."""
        ...


def load_reward_model(
    config: RewardModelConfig, folder: Path, *, engine: EngineConfig, seed: int, say: Progress
) -> RewardModel:
    """The reward model in ``folder``, on the engine that its entry names.

    Raises:
        ModelError: the folder holds no sequence classification with one label, in safetensors.
        EngineError: vLLM could not start.
    """
    if config.engine == "vllm":
        return VllmRewardModel(folder, engine=engine, seed=seed, say=say)
    return TransformersRewardModel(folder, batch=config.batch, say=say)


class TransformersRewardModel:
    """A reward model by transformers, on a GPU where there is one."""

    def __init__(self, folder: Path, *, batch: int = 16, say: Progress = print) -> None:
        """Load it.

        Raises:
            ModelError: the folder holds no sequence classification with one label, in safetensors.
        """
        _check(folder)
        import torch
        from transformers import AutoModelForSequenceClassification

        say(f"loading the reward model {folder.name}")
        self._folder, self._batch = folder, batch
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        logging.getLogger("transformers").setLevel(logging.ERROR)  # a table of what is missing: an error says it below
        try:
            self._tokenizer = _tokenizer(folder)
            # On a CPU most kernels of half precision are slower than those of full.
            model, told = AutoModelForSequenceClassification.from_pretrained(
                folder,
                dtype="auto" if self._device == "cuda" else torch.float32,
                use_safetensors=True,
                trust_remote_code=False,
                local_files_only=True,
                output_loading_info=True,
            )
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise ModelError(f"the reward model cannot be loaded: {error}", where=folder, mend=_MEND) from error
        if missing := sorted(told["missing_keys"]):
            # Transformers fills in random numbers, and says so in a log.
            raise ModelError(f"the reward model lacks weights: {missing[0]}", where=folder, mend=_MEND)
        self._model = model.to(self._device).eval()
        self._model.config.get_text_config().pad_token_id = self._tokenizer.pad_token_id
        self._longest = _longest(folder, self._tokenizer)

    def __call__(self, conversations: Sequence[Sequence[Message]]) -> list[float | str]:
        """One number for each conversation, in its order; a reason for one that does not fit into the context.

        Raises:
            EngineError: the model failed, or there was not memory enough for a batch.
        """
        found: list[float | str] = [TOO_LONG] * len(conversations)
        asked = _token_ids(self._tokenizer, conversations)
        for i, ids in enumerate(asked):
            if isinstance(ids, str):
                found[i] = ids
        fit = [i for i, ids in enumerate(asked) if not isinstance(ids, str) and 0 < len(ids) <= self._longest]
        order = sorted(fit, key=lambda i: -len(asked[i]))  # little padding, and a lack of memory shows at once
        for start in range(0, len(order), self._batch):
            some = order[start : start + self._batch]
            for i, number in zip(some, self._numbers([list(asked[i]) for i in some]), strict=True):
                found[i] = number
        return found

    def _numbers(self, batch: list[Any]) -> list[float]:
        import torch

        padded = self._tokenizer.pad({"input_ids": batch}, padding_side="right", return_tensors="pt").to(self._device)
        try:
            with torch.inference_mode():
                logits = self._model(input_ids=padded["input_ids"], attention_mask=padded["attention_mask"]).logits
        except RuntimeError as error:
            mend = "set the reward model's batch lower" if is_out_of_memory(error) else None
            raise EngineError(f"the reward model failed: {error}", where=self._folder, mend=mend) from error
        return [float(number) for number in logits.float().reshape(-1)]


class VllmRewardModel:
    """A reward model as a pooling model of vLLM."""

    def __init__(self, folder: Path, *, engine: EngineConfig, seed: int, say: Progress = print) -> None:
        """Start the engine.

        Raises:
            ModelError: the folder holds no sequence classification with one label, in safetensors.
            EngineError: vLLM could not start.
        """
        _check(folder)
        from tao_ops.backends.vllm_engine import start_llm

        say(f"starting vLLM with the reward model {folder.name}")
        self._folder, self._tokenizer = folder, _tokenizer(folder)
        self._longest = min(_longest(folder, self._tokenizer), engine.context)
        self._llm = start_llm(
            str(folder),
            seed=seed,
            config=engine.model_copy(update={"context": self._longest}),
            runner="pooling",
            enable_prefix_caching=False,
        )

    def __call__(self, conversations: Sequence[Sequence[Message]]) -> list[float | str]:
        """One number for each conversation, in its order; a reason for one that does not fit into the context.

        Raises:
            EngineError: vLLM failed.
        """
        from vllm import PoolingParams, TokensPrompt

        found: list[float | str] = [TOO_LONG] * len(conversations)
        asked = _token_ids(self._tokenizer, conversations)
        prompts = {}
        for i, ids in enumerate(asked):
            if isinstance(ids, str):
                found[i] = ids
            elif 0 < len(ids) <= self._longest:
                prompts[i] = TokensPrompt(prompt_token_ids=self._without_padding(ids))
        if not prompts:  # which vLLM takes for a mistake
            return found
        try:
            # The plain number: by default it comes squashed.
            outputs = self._llm.classify(
                list(prompts.values()), pooling_params=PoolingParams(use_activation=False), use_tqdm=False
            )
        except (RuntimeError, ValueError, MemoryError) as error:
            raise EngineError(f"the reward model failed: {error}", where=self._folder) from error
        for i, output in zip(prompts, outputs, strict=True):
            [found[i]] = output.outputs.probs
        return found

    def _without_padding(self, ids: list[int]) -> list[int]:
        """Where a conversation ends with what pads, transformers looks at the token before: so in training."""
        end = len(ids)
        while end > 1 and ids[end - 1] == self._tokenizer.pad_token_id:
            end -= 1
        return ids[:end]


def _check(folder: Path) -> None:
    """See that it is a model folder whose configuration has one label."""
    check_model_folder(folder)
    config = _config(folder)
    architecture = str((config.get("architectures") or ["none"])[0])
    if not architecture.endswith("ForSequenceClassification"):
        raise ModelError(f"not a reward model: its architecture is {architecture}", where=folder, mend=_MEND)
    labels = config.get("num_labels", len(config.get("id2label", ("no", "yes"))))  # two, where nothing is said
    if labels != 1:
        raise ModelError(f"not a reward model: it has {labels} labels", where=folder, mend=_MEND)


def _config(folder: Path) -> dict[str, Any]:
    try:
        told: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"the model's config cannot be read: {error}", where=folder) from error
    return told


def _tokenizer(folder: Path) -> "PreTrainedTokenizerBase":
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _longest(folder: Path, tokenizer: "PreTrainedTokenizerBase") -> int:
    """Tokens that fit into the model's context."""
    config = _config(folder)
    text = config.get("text_config") or config
    told = [text.get("max_position_embeddings"), tokenizer.model_max_length]
    return min((int(one) for one in told if one), default=_ENDLESS)


def _token_ids(
    tokenizer: "PreTrainedTokenizerBase", conversations: Sequence[Sequence[Message]]
) -> list[list[int] | str]:
    """The tokens of each conversation; the reason of one that the template does not take."""
    from jinja2 import TemplateError

    found: list[list[int] | str] = []
    for messages in conversations:
        try:
            ids = tokenizer.apply_chat_template(disarmed(tokenizer, messages), tokenize=True, return_dict=False)
        except TemplateError:
            ids = NO_TEMPLATE
        found.append(ids)
    return found
