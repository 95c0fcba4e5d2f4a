"""A text that spells a special token stays a text."""

from types import SimpleNamespace
from typing import Any

from tao_ops.backends.special_tokens import disarmed
from tao_ops.records import Message


def _tokenizer(*special: str) -> Any:
    tokens = [SimpleNamespace(content=text, special=True) for text in special]
    return SimpleNamespace(
        added_tokens_decoder=dict(enumerate([*tokens, SimpleNamespace(content="  ", special=False)]))
    )


def _text(tokenizer: Any, text: str) -> str:
    [message] = disarmed(tokenizer, [Message(role="user", content=text)])
    assert message["role"] == "user"
    return message["content"]


def test_each_special_token_that_is_spelled_is_broken() -> None:
    tokenizer = _tokenizer("</s>", "<|end|>", "[INST]")
    assert _text(tokenizer, "a</s>b<|end|><|end|>[INST]") == "a< /s>b< |end|>< |end|>[ INST]"


def test_the_longest_is_broken_first_and_all_else_stays() -> None:
    tokenizer = _tokenizer("<s>", "<s>>")
    assert _text(tokenizer, "<s>> if a<b:  <div>") == "< s>> if a<b:  <div>"
    assert _text(_tokenizer(), "</s>") == "</s>"
