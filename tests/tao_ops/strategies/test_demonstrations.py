"""``demonstrations`` asks with worked examples before the query, in a few shared orders."""

import json
from pathlib import Path

import pytest

from tao_ops.errors import ConfigError
from tao_ops.records import Prompt
from tao_ops.strategies.demonstrations import ORDERS, Demonstrations, load_examples

QUERY = Prompt("q", "t", ({"role": "user", "content": "Anna here"},))


def _line(text: str, answer: str = "{}") -> str:
    messages = [{"role": "user", "content": text}, {"role": "assistant", "content": answer}]
    return json.dumps({"messages": messages}, ensure_ascii=False)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "demonstrations.jsonl"
    path.write_text("\n".join(_line(f"message {i}") for i in range(4)) + "\n\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("samples", [1, 5, 6, 12, 13])
def test_the_samples_are_spread_evenly_over_the_orders(file: Path, samples: int) -> None:
    asks = Demonstrations("Read it.", file, seed=1).asks(QUERY, samples)
    shares = [ask.samples for ask in asks]
    assert sum(shares) == samples and len(asks) == min(samples, ORDERS) and max(shares) - min(shares) <= 1


def test_every_conversation_holds_all_examples_between_prompt_and_query(file: Path) -> None:
    asks = Demonstrations("Read it.", file, seed=1).asks(QUERY, 12)
    for ask in asks:
        assert ask.messages[0] == {"role": "system", "content": "Read it."}
        assert ask.messages[-1] == QUERY.messages[-1]
        assert [m["role"] for m in ask.messages[1:-1]] == ["user", "assistant"] * 4
        assert sorted(m["content"] for m in ask.messages[1:-1:2]) == [f"message {i}" for i in range(4)]
    assert len({json.dumps(ask.messages) for ask in asks}) > 1


def test_all_queries_share_the_orders_and_the_seed_decides_them(file: Path) -> None:
    other = Prompt("p", "t", ({"role": "user", "content": "Eve here"},))
    strategy = Demonstrations("Read it.", file, seed=1)
    mine, others = ([ask.messages[:-1] for ask in strategy.asks(query, 12)] for query in (QUERY, other))
    assert mine == others
    assert mine == [ask.messages[:-1] for ask in Demonstrations("Read it.", file, seed=1).asks(QUERY, 12)]
    assert mine != [ask.messages[:-1] for ask in Demonstrations("Read it.", file, seed=2).asks(QUERY, 12)]


def test_its_version_is_that_of_prompt_and_examples(file: Path) -> None:
    before = Demonstrations("a", file, seed=1).version
    assert Demonstrations("a", file, seed=2).version == before != Demonstrations("b", file, seed=1).version
    file.write_text(_line("another"), encoding="utf-8")
    assert Demonstrations("a", file, seed=1).version != before


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        "{}",
        '{"messages": [3]}',
        '{"messages": []}',
        '{"messages": [{"role": "user", "content": "hi"}]}',
        '{"messages": [{"role": "assistant", "content": "hi"}, {"role": "user", "content": "hi"}]}',
    ],
)
def test_a_line_that_is_no_example_is_named(file: Path, line: str) -> None:
    file.write_text(f"{_line('good')}\n{line}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"worked example.*demonstrations\.jsonl:2\] — write \{"):
        load_examples(file)


def test_a_line_break_of_unicode_inside_a_message_ends_no_line(file: Path) -> None:
    file.write_text(_line("one\u2028two\x85three"), encoding="utf-8")
    ((user, _),) = load_examples(file)
    assert user["content"] == "one\u2028two\x85three"


def test_a_file_without_examples_or_without_text_is_named(file: Path) -> None:
    file.write_text("\n\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"no worked example .*demonstrations\.jsonl"):
        load_examples(file)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"cannot be read.*demonstrations\.jsonl"):
        load_examples(file)
