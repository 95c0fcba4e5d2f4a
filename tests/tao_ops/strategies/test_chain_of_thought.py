"""``chain_of_thought`` asks for reasons first, and finds the answer behind them."""

from collections.abc import Callable

from tao_ops.records import Prompt
from tao_ops.strategies import Strategy

Make = Callable[..., Strategy]


def test_the_production_prompt_stands_whole_in_the_system_message(make: Make, query: Prompt) -> None:
    strategy = make("chain_of_thought")
    system, *rest = strategy.conversation(query, 3, ())
    assert strategy.calls == 1 and rest == list(query.messages)
    assert system["role"] == "system" and system["content"].startswith("Read it.\n")
    assert "step by step" in system["content"] and "Answer:" in system["content"]


def test_the_answer_is_what_follows_the_last_marker(make: Make) -> None:
    strategy = make("chain_of_thought")
    assert strategy.answer('Answer: not yet.\n\nAnswer:\n{"city": "Oslo"}\n') == '{"city": "Oslo"}'
    assert strategy.answer('{"city": "Oslo"}') == "", "what was cut off before the marker has no answer"


def test_words_of_ones_own_before_the_answer_are_asked_for(make: Make, query: Prompt) -> None:
    strategy = make("chain_of_thought", answer_after="Final:")
    (system, *_) = strategy.conversation(query, 0, ())
    assert "Final:" in system["content"] and "Answer:" not in system["content"]
    assert strategy.answer("Answer: a\nFinal: b") == "b"
