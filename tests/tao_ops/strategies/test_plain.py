"""``plain`` asks as production does."""

from collections.abc import Callable
from pathlib import Path

from tao_ops.records import Prompt
from tao_ops.strategies import Strategy

Make = Callable[..., Strategy]


def test_it_asks_with_the_production_prompt_whatever_the_sample(make: Make, query: Prompt) -> None:
    plain = make("plain")
    assert plain.calls == 1 and plain.structure is None
    assert plain.conversation(query, 0, ()) == [{"role": "system", "content": "Read it."}, *query.messages]
    assert plain.conversation(query, 7, ()) == plain.conversation(query, 0, ())


def test_its_answer_is_the_whole_response(make: Make) -> None:
    assert make("plain").answer(" Answer: 3\n") == "Answer: 3"
    assert make("plain", answer_after="</think>").answer("<think>3?</think>\n3") == "3"


def test_its_version_is_its_prompts(make: Make, include: Path) -> None:
    before = make("plain").version
    assert make("plain", seed=2).version == before and len(before) == 16
    (include / "prompt.txt").write_text("Read it twice.", encoding="utf-8")
    assert make("plain").version != before
