"""Texts as unit vectors, by an encoder in the Hugging Face layout."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tao_ops.backends.vllm_loop import is_out_of_memory
from tao_ops.errors import EngineError, ModelError
from tao_ops.records import Progress

_BATCH = 32
_LONGEST = 8192
"""Tokens that are read at once, where the model tells no bound or a greater one."""
_MEND = "name a folder made by save_pretrained, weights in safetensors"


class Embedder:
    """Mean-pooled vectors of length 1; of a long text the mean over all its windows, nothing is cut off."""

    def __init__(self, folder: Path, *, say: Progress = print) -> None:
        """Load it.

        Raises:
            ModelError: the folder holds no model in safetensors, or no fast tokenizer.
        """
        if not (folder / "config.json").is_file() or not list(folder.glob("*.safetensors")):
            raise ModelError("not a model folder: no config.json, or no *.safetensors", where=folder, mend=_MEND)
        import torch
        from transformers import AutoModel, AutoTokenizer

        say(f"loading the encoder {folder.name}")
        self._folder, self._device = folder, "cuda" if torch.cuda.is_available() else "cpu"
        local = {"trust_remote_code": False, "local_files_only": True}
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(folder, **local)
            model = AutoModel.from_pretrained(folder, dtype=torch.float32, use_safetensors=True, **local)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise ModelError(f"the encoder cannot be loaded: {error}", where=folder, mend=_MEND) from error
        if not self._tokenizer.is_fast:
            raise ModelError("the encoder's tokenizer is not a fast one", where=folder, mend="add tokenizer.json")
        self._tokenizer.pad_token = self._tokenizer.pad_token or self._tokenizer.eos_token
        self._model = model.to(self._device).eval()
        told = (getattr(model.config, "max_position_embeddings", None), self._tokenizer.model_max_length, _LONGEST)
        self._longest = min(int(one) for one in told if one)

    def __call__(self, texts: Sequence[str]) -> list[list[float]]:
        """A vector of length 1 for each text, in its order; of zeros for one without tokens.

        Raises:
            EngineError: the model failed, or there was not memory enough.
        """
        distinct = sorted(set(texts), key=lambda text: (len(text), text))  # little padding
        found: dict[str, list[float]] = {}
        for start in range(0, len(distinct), _BATCH):
            some = distinct[start : start + _BATCH]
            found |= dict(zip(some, self._vectors(some), strict=True))
        return [found[text] for text in texts]

    def _vectors(self, texts: Sequence[str]) -> list[list[float]]:
        import torch

        windows, owners = self._windows(texts)
        sums = torch.zeros(len(texts), self._model.config.hidden_size)
        try:
            for start in range(0, len(windows), _BATCH):
                for owner, summed in zip(owners[start:], self._summed(windows[start : start + _BATCH]), strict=False):
                    sums[owner] += summed
        except RuntimeError as error:
            mend = "embed shorter texts" if is_out_of_memory(error) else None
            raise EngineError(f"the encoder failed: {error}", where=self._folder, mend=mend) from error
        # The direction of a sum is that of the mean.
        vectors: list[list[float]] = torch.nn.functional.normalize(sums, dim=1).tolist()
        return vectors

    def _windows(self, texts: Sequence[str]) -> tuple[list[list[int]], list[int]]:
        """The tokens of all texts, none longer than the context, and whose each window is."""
        told = self._tokenizer(
            [text.encode("utf-8", "replace").decode() for text in texts],
            truncation=True,
            max_length=self._longest,
            return_overflowing_tokens=True,
        )
        kept = [(ids, owner) for ids, owner in zip(told["input_ids"], told["overflow_to_sample_mapping"], strict=True)]
        kept = [(ids, owner) for ids, owner in kept if ids]
        return [ids for ids, _ in kept], [owner for _, owner in kept]

    def _summed(self, windows: Sequence[Sequence[int]]) -> Any:
        """The sum over the tokens' last states, one row per window."""
        import torch

        padded = self._tokenizer.pad({"input_ids": list(windows)}, padding_side="right", return_tensors="pt")
        ids, mask = padded["input_ids"].to(self._device), padded["attention_mask"].to(self._device)
        with torch.inference_mode():
            states = self._model(input_ids=ids, attention_mask=mask).last_hidden_state
        return (states.float() * mask.unsqueeze(-1)).sum(1).cpu()
