"""A registered version loads by MLflow's own loader, and the weights lie there once."""

import secrets
from pathlib import Path
from typing import Any

import pytest

from tao_ops.database import sibling_url, with_driver
from tao_ops.mlflow_layout import write_layout
from tao_ops.models import model_digest, model_facts, model_ref
from tao_ops.registry import Registry, Submission


@pytest.fixture
def loaded_by_mlflow(database_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> Any:
    import mlflow

    before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    uri = with_driver(sibling_url(database_url, "mlflow"), "psycopg")
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    yield mlflow
    mlflow.set_tracking_uri(before[0])
    mlflow.set_registry_uri(before[1])


def test_the_champion_loads_by_its_alias_and_by_its_folder(
    database_url: str, tmp_path: Path, loaded_by_mlflow: Any
) -> None:
    import mlflow.transformers
    import torch
    import transformers

    from tests.tao_ops.backends.tiny_models import write_model

    folder = write_model(tmp_path / "candidate", "CausalLM", dtype="bfloat16")
    (folder / "chat_template.jinja").write_text("{% for m in messages %}{{ m.content }}{% endfor %}", encoding="utf-8")
    digest, facts = model_digest(folder), model_facts(model_ref(folder)).as_dict()
    size = sum(path.stat().st_size for path in folder.rglob("*.safetensors"))
    write_layout(folder, facts)
    write_layout(folder, facts)
    assert model_digest(folder) == digest
    assert sum(path.stat().st_size for path in folder.rglob("*.safetensors")) == size

    name, registry = f"tickets_{secrets.token_hex(4)}", Registry(database_url, tmp_path / "artifacts")
    candidate = {**facts, "path": str(folder), "base": {"version": 0, "model_version": "b"}}
    verdict = {"decision": "promote", "reasons": []}
    registry.register(Submission(name, "2026-11-21T00:00Z", "r1", candidate, {}, verdict, "manifest.json"))
    registry.promote(name, 1, expected_champion=0, who="t", why="w")

    pipe = mlflow.transformers.load_model(f"models:/{name}@champion")
    own = transformers.AutoModelForCausalLM.from_pretrained(folder)
    assert pipe.task == "text-generation" and pipe.model.dtype == torch.bfloat16
    theirs, ours = pipe.model.state_dict(), own.state_dict()
    assert all(torch.equal(theirs[key].cpu(), value) for key, value in ours.items())
    ids = transformers.AutoTokenizer.from_pretrained(folder)("Anna here", return_tensors="pt")
    assert pipe.tokenizer("Anna here")["input_ids"] == ids["input_ids"][0].tolist()
    assert pipe("Anna here", max_new_tokens=2)[0]["generated_text"].startswith("Anna here")
    assert model_digest(folder) == digest
