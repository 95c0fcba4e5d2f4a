"""``plan`` asks for a plan before the answer."""

from collections.abc import Callable

from tao_ops.records import Prompt
from tao_ops.strategies import Strategy

Make = Callable[..., Strategy]


def test_it_asks_for_a_plan_and_the_answer_last(make: Make, query: Prompt) -> None:
    strategy = make("plan")
    system, *rest = strategy.conversation(query, 0, ())
    assert strategy.calls == 1 and rest == list(query.messages)
    assert system["content"].startswith("Read it.\n") and "plan" in system["content"]
    assert strategy.answer("1. Find the city.\nIt is Oslo.\nAnswer:\nOslo") == "Oslo"
    assert strategy.version != make("chain_of_thought").version
