"""Model folders: what makes one, its digest, and the facts that a promotion must not change."""

import hashlib
import json
import math
import struct
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tao_ops.errors import ModelError
from tao_ops.records import ModelRef

_NEEDED = ("config.json", "tokenizer.json", "tokenizer_config.json")
_IDENTITY = ("config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json")


@dataclass(frozen=True)
class ModelFacts:
    """What inference costs: the same for champion and candidate, or the gate says no."""

    model_version: str
    architecture: str
    parameters: int
    dtype: str

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def check_model_folder(path: Path) -> None:
    """See that ``path`` holds a model in the Hugging Face layout, in safetensors, with a chat template.

    Raises:
        ModelError: it does not; the message names what is missing.
    """
    mend = "name a folder made by save_pretrained, weights in safetensors"
    if not path.is_dir():
        raise ModelError("not a model folder: it does not exist", where=path, mend=mend)
    for name in _NEEDED:
        if not (path / name).is_file():
            raise ModelError(f"not a model folder: no {name}", where=path, mend=mend)
    if not list(path.glob("*.safetensors")):
        raise ModelError("not a model folder: no *.safetensors", where=path, mend=mend)
    if not (path / "chat_template.jinja").is_file() and "chat_template" not in _json(path / "tokenizer_config.json"):
        raise ModelError("the tokenizer has no chat template", where=path, mend="add chat_template.jinja")


def model_ref(path: Path, version: int | None = None) -> ModelRef:
    """A checked model folder and the digest of its content."""
    check_model_folder(path)
    return ModelRef(path=str(path), model_version=model_digest(path), version=version)


def model_digest(path: Path) -> str:
    """First 16 hex digits of the SHA-256 over weights, configuration, tokenizer and template."""
    sha = hashlib.sha256()
    for name in [*_IDENTITY, *sorted(p.name for p in path.glob("*.safetensors"))]:
        if (path / name).is_file():
            sha.update(name.encode())
            with (path / name).open("rb") as file:
                sha.update(hashlib.file_digest(file, "sha256").digest())
    return sha.hexdigest()[:16]


def adapter_digest(path: Path) -> str:
    """First 16 hex digits of the SHA-256 over a LoRA adapter's configuration and weights.

    Raises:
        ModelError: the folder holds no adapter.
    """
    sha = hashlib.sha256()
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        if not (path / name).is_file():
            raise ModelError(f"not a LoRA adapter: it has no {name}", where=path, mend="name a folder made by peft")
        with (path / name).open("rb") as file:
            sha.update(hashlib.file_digest(file, "sha256").digest())
    return sha.hexdigest()[:16]


def model_facts(ref: ModelRef) -> ModelFacts:
    """Architecture from ``config.json``; parameters and dtype from the headers of the weights."""
    path = Path(ref.path)
    weights = tensors(path).values()
    parameters, dtypes = sum(math.prod(shape) for _, shape in weights), {dtype for dtype, _ in weights}
    architectures = _json(path / "config.json").get("architectures") or ["unknown"]
    return ModelFacts(ref.model_version, str(architectures[0]), parameters, "+".join(sorted(dtypes)))


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ModelError(f"cannot be read: {error}", where=path) from None
    if not isinstance(value, dict):
        raise ModelError("not a JSON object", where=path)
    return value


def tensors(folder: Path) -> dict[str, tuple[str, list[int]]]:
    """Each tensor's type and shape, by the headers of a folder's weights.

    Raises:
        ModelError: a file of weights is none.
    """
    headers = [_safetensors_header(file) for file in sorted(folder.glob("*.safetensors"))]
    return {k: (v["dtype"], v["shape"]) for header in headers for k, v in header.items() if k != "__metadata__"}


def _safetensors_header(path: Path) -> dict[str, Any]:
    # The format: eight bytes of length, little-endian, then that much JSON.
    with path.open("rb") as file:
        head = file.read(8)
        size = struct.unpack("<Q", head)[0] if len(head) == 8 else 0
        if not 0 < size < 100_000_000:
            raise ModelError("not a safetensors file", where=path)
        content = file.read(size)
    try:
        header: dict[str, Any] = json.loads(content)
    except ValueError:
        raise ModelError("not a safetensors file: its header is no JSON", where=path) from None
    return header
