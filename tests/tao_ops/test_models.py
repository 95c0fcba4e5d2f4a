"""A folder is a model, or the error names what it lacks; its digest is that of its content."""

import json
import shutil
import struct
from pathlib import Path
from typing import Any

import pytest

from tao_ops.errors import ModelError
from tao_ops.models import check_model_folder, model_digest, model_facts, model_ref


def _safetensors(path: Path, tensors: dict[str, Any], data: bytes = b"\0" * 8) -> None:
    header = json.dumps({"__metadata__": {"format": "pt"}, **tensors}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + data)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "model"
    made.mkdir()
    (made / "config.json").write_text('{"architectures": ["LlamaForCausalLM"]}', encoding="utf-8")
    (made / "tokenizer.json").write_text("{}", encoding="utf-8")
    (made / "tokenizer_config.json").write_text("{}", encoding="utf-8")
    (made / "chat_template.jinja").write_text("{{ messages }}", encoding="utf-8")
    _safetensors(made / "model-1.safetensors", {"a": {"dtype": "BF16", "shape": [3, 4], "data_offsets": [0, 4]}})
    _safetensors(made / "model-2.safetensors", {"b": {"dtype": "BF16", "shape": [5], "data_offsets": [0, 4]}})
    return made


def test_a_whole_folder_is_a_model(folder: Path) -> None:
    ref = model_ref(folder, 3)
    assert (ref.path, ref.version, ref.model_version) == (str(folder), 3, model_digest(folder))
    assert len(ref.model_version) == 16


def test_a_template_in_the_tokenizers_configuration_will_do(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()
    (folder / "tokenizer_config.json").write_text('{"chat_template": "{{ messages }}"}', encoding="utf-8")
    check_model_folder(folder)
    assert model_ref(folder).version is None


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ModelError, match=rf"not a model folder: no {name} \[{folder}\] — .*save_pretrained"):
        model_ref(folder)


def test_missing_weights_and_a_missing_template_are_named(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(ModelError, match=r"no chat template .* add chat_template\.jinja"):
        model_ref(folder)
    for weights in folder.glob("*.safetensors"):
        weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(ModelError, match=r"no \*\.safetensors"):
        model_ref(folder)


def test_a_folder_that_is_not_there_and_a_file_are_no_models(folder: Path) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        model_ref(folder / "elsewhere")
    with pytest.raises(ModelError, match="not a model folder"):
        model_ref(folder / "config.json")


@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_configuration_that_is_no_object_is_named(folder: Path, content: str) -> None:
    (folder / "config.json").write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match=r"config\.json"):
        model_facts(model_ref(folder))


@pytest.mark.parametrize("content", [b"", b"abc", b"\xff" * 64, struct.pack("<Q", 5) + b"{tru}", struct.pack("<Q", 9)])
def test_weights_that_are_no_safetensors_are_named(folder: Path, content: bytes) -> None:
    (folder / "model-2.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match=r"not a safetensors file.*model-2\.safetensors"):
        model_facts(model_ref(folder))


def test_facts_come_from_the_weights_headers(folder: Path) -> None:
    facts = model_facts(model_ref(folder))
    assert (facts.architecture, facts.parameters, facts.dtype) == ("LlamaForCausalLM", 17, "BF16")
    assert json.loads(json.dumps(facts.as_dict()))["model_version"] == model_digest(folder)
    _safetensors(folder / "model-2.safetensors", {"b": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]}})
    (folder / "config.json").write_text("{}", encoding="utf-8")
    facts = model_facts(model_ref(folder))
    assert (facts.architecture, facts.parameters, facts.dtype) == ("unknown", 13, "BF16+F32")


def test_a_digest_is_of_the_content_alone(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / "README.md").write_text("a model", encoding="utf-8")
    assert model_digest(copy) == model_digest(folder)


@pytest.mark.parametrize("name", ["model-1.safetensors", "tokenizer.json", "chat_template.jinja", "config.json"])
def test_one_byte_makes_another_model(folder: Path, name: str) -> None:
    before = model_digest(folder)
    content = bytearray((folder / name).read_bytes())
    content[-1] ^= 1
    (folder / name).write_bytes(content)
    assert model_digest(folder) != before
