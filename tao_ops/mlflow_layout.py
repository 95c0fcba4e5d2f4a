"""What MLflow needs beside a model's own files to load it by its flavour ``transformers``.

MLflow's own ``save_model`` writes the weights a second time. Its layout does not ask for that: ``MLmodel`` says in
which folder below its own the model lies, and that may be its own. Only the tokenizer has a folder of its own there,
``components/tokenizer``: a copy of some small files. Nothing that ``transformers`` or vLLM reads is touched.
"""

import importlib.metadata
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tao_ops.files import replaced

MLMODEL, COMPONENTS = "MLmodel", "components"
_TOKENIZER = (
    "tokenizer*",
    "chat_template.jinja",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
)
_DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
"""Names of safetensors, and torch's."""


def write_layout(folder: Path, facts: Mapping[str, Any]) -> None:
    """Make ``mlflow.transformers.load_model`` load the model in ``folder``; repeated, it changes nothing.

    Args:
        facts: ``architecture`` and ``dtype`` of the model, and its ``model_version``.
    """
    tokenizer = folder / COMPONENTS / "tokenizer"
    tokenizer.mkdir(parents=True, exist_ok=True)
    # Beside the tokenizer's files its class may be asked of the model's configuration.
    for path in sorted({found for pattern in (*_TOKENIZER, "config.json") for found in folder.glob(pattern)}):
        with replaced(tokenizer / path.name) as fresh:
            shutil.copyfile(path, fresh)
    with replaced(folder / MLMODEL) as fresh:
        fresh.write_text(yaml.safe_dump(_mlmodel(facts), sort_keys=True), encoding="utf-8")


def _mlmodel(facts: Mapping[str, Any]) -> dict[str, Any]:
    flavour = {
        "task": "text-generation",
        "instance_type": "TextGenerationPipeline",
        "pipeline_model_type": facts["architecture"],
        "model_binary": ".",
        "components": ["tokenizer"],
        "tokenizer_type": "AutoTokenizer",
        "transformers_version": importlib.metadata.version("transformers"),
    }
    if (dtype := _DTYPES.get(facts["dtype"])) is not None:
        flavour["torch_dtype"] = f"torch.{dtype}"
    return {
        "flavors": {"transformers": flavour},
        "mlflow_version": importlib.metadata.version("mlflow"),
        "model_uuid": facts["model_version"],
    }
