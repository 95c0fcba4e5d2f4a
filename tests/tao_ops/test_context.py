"""Whether a conversation fits under the production prompt: counted exactly, and only where it might not."""

from pathlib import Path

import pytest

from tao_ops.backends import embedded_model
from tao_ops.context import Context
from tao_ops.errors import ModelError
from tao_ops.settings import Settings


def _never() -> Path:
    raise AssertionError("the tokenizer is loaded for a short text")


def test_a_short_text_is_never_tokenised() -> None:
    context = Context(2048, 64, "Read it.", _never)
    assert context.excess([{"role": "user", "content": "Hello there. " * 100}]) == 0


def test_a_long_one_is_counted_by_the_models_own_tokenizer_and_template() -> None:
    from transformers import AutoTokenizer

    folder = embedded_model.prepare(Settings.from_env().cache, lambda line: None)
    messages = [{"role": "user", "content": "Hello there. " * 100}]
    whole = [{"role": "system", "content": "Read it."}, *messages]
    count = len(AutoTokenizer.from_pretrained(folder).apply_chat_template(whole, add_generation_prompt=True).input_ids)
    for room, excess in ((count, 0), (count - 1, 1), (count - 100, 100)):
        assert Context(room + 64, 64, "Read it.", lambda: folder).excess(messages) == excess  # type: ignore[arg-type]


def test_a_folder_without_a_tokenizer_is_named(tmp_path: Path) -> None:
    context = Context(2048, 64, "Read it.", lambda: tmp_path)
    with pytest.raises(ModelError, match="the tokenizer cannot be read"):
        context.excess([{"role": "user", "content": "Hello there. " * 1000}])
