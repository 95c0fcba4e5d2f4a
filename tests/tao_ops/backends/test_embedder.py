"""Texts as unit vectors."""

import math
from pathlib import Path

import pytest

from tao_ops.backends.embedder import Embedder
from tao_ops.errors import ModelError
from tests.tao_ops.backends.tiny_models import write_model

TEXTS = ["Where is my card?", "My card has not arrived", "Zoë 😀", "half \ud800 a character", "card"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("tiny") / "encoder", "Model")


@pytest.fixture(scope="module")
def embed(folder: Path) -> Embedder:
    return Embedder(folder, say=lambda line: None)


def _cosine(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def test_vectors_are_the_normalised_means_of_the_last_states(folder: Path, embed: Embedder) -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer

    model, tokenizer = AutoModel.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    for text, vector in zip(TEXTS[:3], embed(TEXTS), strict=False):
        with torch.no_grad():
            mean = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0)
        assert vector == pytest.approx((mean / mean.norm()).tolist(), abs=1e-5)


def test_every_vector_has_length_one_and_its_texts_place(embed: Embedder) -> None:
    vectors = embed(TEXTS)
    assert [math.hypot(*vector) for vector in vectors] == pytest.approx([1.0] * len(TEXTS))
    assert embed(TEXTS[::-1])[::-1] == [pytest.approx(vector, abs=1e-5) for vector in vectors]
    assert _cosine(vectors[0], embed([TEXTS[0]])[0]) == pytest.approx(1.0, abs=1e-5)
    assert embed([]) == []


def test_a_long_text_is_read_to_its_end(embed: Embedder) -> None:
    long = "a word " * 300  # more than two contexts
    one, other = embed([long + "and a cat", long + "or none at all, said the other side, twice over, and left"])
    assert math.hypot(*one) == pytest.approx(1.0)
    assert one != pytest.approx(other, abs=1e-6)


def test_a_text_without_tokens_is_like_none(embed: Embedder) -> None:
    assert set(embed(["", "card"])[0]) == {0.0}


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(ModelError, match="not a model folder"):
        Embedder(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"nonsense")
    with pytest.raises(ModelError, match="the encoder cannot be loaded"):
        Embedder(tmp_path)
