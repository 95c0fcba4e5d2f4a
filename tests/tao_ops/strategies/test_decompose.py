"""``decompose`` has the questions listed first, then asks with them."""

from collections.abc import Callable

from tao_ops.records import Prompt
from tao_ops.strategies import Strategy

Make = Callable[..., Strategy]


def test_the_second_call_holds_the_questions_of_the_first(make: Make, query: Prompt) -> None:
    strategy = make("decompose")
    parts, *rest = strategy.conversation(query, 0, ())
    ask, *same = strategy.conversation(query, 0, ("\n1. Who writes?\n2. Where?\n",))
    assert strategy.calls == 2 and rest == same == list(query.messages)
    assert parts["content"].startswith("Read it.\n") and "smaller questions" in parts["content"]
    assert "Answer:" not in parts["content"]
    assert ask["content"].startswith("Read it.\n") and "\n\n1. Who writes?\n2. Where?\n\n" in ask["content"]
    assert strategy.answer("1. Anna\n2. Oslo\nAnswer: Anna, Oslo") == "Anna, Oslo"
