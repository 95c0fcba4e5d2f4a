"""``rephrase`` has the query said in other words, and answers these."""

from collections.abc import Callable

from tao_ops.records import Prompt
from tao_ops.strategies import Strategy

Make = Callable[..., Strategy]


def test_the_production_prompt_meets_the_query_in_other_words(make: Make, query: Prompt) -> None:
    strategy = make("rephrase")
    first = strategy.conversation(query, 0, ())
    assert strategy.calls == 2
    assert first[:-1] == list(query.messages[:-1]), "what was said before is known, the production prompt is not"
    assert first[-1]["role"] == "user" and first[-1]["content"].endswith("\n\nAnna here")
    system, *before, last = strategy.conversation(query, 0, (" This is Anna.\n",))
    assert system["content"] == "Read it." and before == list(query.messages[:-1])
    assert last == {"role": "user", "content": "This is Anna."}
    assert strategy.answer(" Anna\n") == "Anna"


def test_without_other_words_the_query_itself_is_asked(make: Make, query: Prompt) -> None:
    assert make("rephrase").conversation(query, 0, (" \n",)) == make("plain").conversation(query, 0, ())
