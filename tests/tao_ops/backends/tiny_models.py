"""Models with the embedded model's tokenizer, so small and so random that they are made in a second."""

import os
from pathlib import Path
from typing import Any

from tao_ops.backends import embedded_model
from tao_ops.settings import PROJECT


def embedded() -> Path:
    """The folder of the embedded model."""
    cache = Path(os.environ.get("TAO_CACHE") or PROJECT / ".tao" / "cache")
    return embedded_model.prepare(cache, lambda line: None)


def write_model(folder: Path, kind: str = "SequenceClassification", **config: Any) -> Path:
    """A Llama for ``kind``, randomly made; ``config`` goes into its configuration."""
    import torch
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(embedded())
    size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 1}
    told = {"vocab_size": len(tokenizer), "head_dim": 32, "num_key_value_heads": 1, "max_position_embeddings": 128}
    labels = {"num_labels": 1} if kind == "SequenceClassification" else {}
    torch.manual_seed(5)
    made = transformers.LlamaConfig(**{**size, **told, **labels, "pad_token_id": tokenizer.pad_token_id, **config})
    name = "LlamaModel" if kind == "Model" else f"LlamaFor{kind}"
    model = getattr(transformers, name)(made).to(made.dtype or torch.float32)
    if kind == "SequenceClassification":
        torch.nn.init.normal_(model.score.weight, std=0.5)  # numbers that differ
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
