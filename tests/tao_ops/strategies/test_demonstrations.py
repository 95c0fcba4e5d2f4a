"""``demonstrations`` asks with worked examples before the query, in a few shared orders."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tao_ops.errors import ConfigError
from tao_ops.records import Message, Prompt
from tao_ops.strategies import Strategy
from tao_ops.strategies.demonstrations import ORDERS, load_examples

Make = Callable[..., Strategy]
Example = Callable[..., list[Message]]
Write = Callable[..., str]


@pytest.fixture
def file(examples_file: Write, example: Example) -> str:
    return examples_file(*(example(f"message {i}") for i in range(4)))


@pytest.fixture
def found(example: Example) -> list[list[Message]]:
    """Ten examples out of earlier turns."""
    return [example(f"found {i}") for i in range(10)]


def _before(strategy: Strategy, query: Prompt, samples: int = ORDERS) -> list[list[Message]]:
    """What stands between the production prompt and the query, sample by sample."""
    return [strategy.conversation(query, i, ())[1 : -len(query.messages)] for i in range(samples)]


def _queries(examples: list[Message]) -> set[str]:
    return {message["content"] for message in examples if message["role"] == "user"}


def test_every_conversation_holds_all_examples_between_prompt_and_query(make: Make, file: str, query: Prompt) -> None:
    strategy = make("demonstrations", file=file)
    for sample in range(12):
        first, *between = strategy.conversation(query, sample, ())
        assert first == {"role": "system", "content": "Read it."}
        assert between[-3:] == list(query.messages)
        assert [m["role"] for m in between[:-3]] == ["user", "assistant"] * 4
        assert sorted(m["content"] for m in between[:-3:2]) == [f"message {i}" for i in range(4)]


def test_samples_go_round_the_orders(make: Make, file: str, query: Prompt) -> None:
    asked = _before(make("demonstrations", file=file), query, 2 * ORDERS)
    assert asked[:ORDERS] == asked[ORDERS:]
    assert len({json.dumps(messages) for messages in asked}) > 1


def test_all_queries_share_the_orders_and_the_seed_decides_them(make: Make, file: str, query: Prompt) -> None:
    other = Prompt("p", "orders", ({"role": "user", "content": "Eve here"},))
    asked = _before(make("demonstrations", file=file), query)
    assert asked == _before(make("demonstrations", file=file), other)
    assert asked != _before(make("demonstrations", file=file, seed=2), query)


def test_an_example_whose_query_is_asked_is_left_out_of_that_conversation_alone(make: Make, file: str) -> None:
    strategy = make("demonstrations", file=file)
    asked = Prompt("p", "orders", ({"role": "user", "content": "message 2"},))
    assert all(_queries(between) == {"message 0", "message 1", "message 3"} for between in _before(strategy, asked))


def test_each_order_draws_its_own_of_the_bootstrapped_examples(
    make: Make, file: str, found: list[list[Message]], query: Prompt
) -> None:
    strategy = make("demonstrations", file=file, bootstrap={"examples": 2}, bootstrapped=found)
    drawn = [frozenset(_queries(between)) - {f"message {i}" for i in range(4)} for between in _before(strategy, query)]
    assert all(len(each) == 2 and each <= {f"found {i}" for i in range(10)} for each in drawn)
    assert len(set(drawn)) > 1


def test_what_is_drawn_hangs_on_the_seed_and_not_on_the_order_of_rows(
    make: Make, found: list[list[Message]], query: Prompt
) -> None:
    def asked(**changed: Any) -> list[list[Message]]:
        given = {"bootstrap": {"examples": 3}, "bootstrapped": found} | changed
        return _before(make("demonstrations", **given), query)

    assert asked() == asked(bootstrapped=found[::-1])
    assert asked() != asked(seed=2)


def test_fewer_bootstrapped_examples_than_wanted_are_all_shown(
    make: Make, found: list[list[Message]], query: Prompt
) -> None:
    strategy = make("demonstrations", bootstrap={"examples": 8}, bootstrapped=found[:3])
    assert all(_queries(between) == {"found 0", "found 1", "found 2"} for between in _before(strategy, query))


def test_a_query_is_shown_once_and_as_it_was_written_by_hand(
    make: Make, file: str, example: Example, query: Prompt
) -> None:
    twice = [example("message 1", "other"), example("found", "a"), example("found", "b")]
    strategy = make("demonstrations", file=file, bootstrap={"examples": 8}, bootstrapped=twice)
    (between,) = _before(strategy, query, 1)
    assert len(between) == 10 and {"role": "assistant", "content": "other"} not in between


def test_without_bootstrap_no_example_of_earlier_turns_is_taken(
    make: Make, file: str, found: list[list[Message]], query: Prompt
) -> None:
    strategy = make("demonstrations", file=file, bootstrapped=found)
    assert _before(strategy, query) == _before(make("demonstrations", file=file), query)


def test_its_version_is_that_of_prompt_and_examples(
    make: Make, file: str, found: list[list[Message]], examples_file: Write, example: Example, include: Path
) -> None:
    def version(**changed: Any) -> str:
        return make("demonstrations", file=file, **changed).version

    before = version()
    assert version(seed=2) == before
    earlier = [version(bootstrap={"examples": k}, bootstrapped=found[:n]) for k, n in ((2, 9), (2, 10), (3, 10))]
    (include / "prompt.txt").write_text("Read on.", encoding="utf-8")
    another_prompt = version()
    examples_file(example("another"))
    assert len({before, another_prompt, version(), *earlier}) == 6


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
def test_a_line_that_is_no_example_is_named(make: Make, examples_file: Write, example: Example, line: str) -> None:
    file = examples_file(example("good"), line)
    with pytest.raises(ConfigError, match=r"worked example.*examples\.jsonl:2\] — write \{"):
        make("demonstrations", file=file)


def test_a_line_break_of_unicode_inside_a_message_ends_no_line(
    include: Path, examples_file: Write, example: Example
) -> None:
    ((user, _),) = load_examples(include / examples_file(example("one\u2028two\x85three")))
    assert user["content"] == "one\u2028two\x85three"


def test_a_file_without_examples_or_without_text_is_named(make: Make, include: Path, examples_file: Write) -> None:
    file = examples_file()
    with pytest.raises(ConfigError, match=r"no worked example .*examples\.jsonl"):
        make("demonstrations", file=file)
    (include / file).write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"cannot be read.*examples\.jsonl"):
        make("demonstrations", file=file)
