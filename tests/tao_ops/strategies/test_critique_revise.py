"""``critique_revise`` drafts as production does, criticises and revises, in one conversation."""

from collections.abc import Callable
from pathlib import Path

from tao_ops.records import Prompt
from tao_ops.strategies import Strategy

Make = Callable[..., Strategy]


def test_each_call_goes_on_where_the_last_one_ended(make: Make, query: Prompt) -> None:
    strategy = make("critique_revise")
    draft = strategy.conversation(query, 0, ())
    critique = strategy.conversation(query, 0, ("a draft",))
    revise = strategy.conversation(query, 0, ("a draft", "a fault"))
    assert strategy.calls == 3
    assert draft == make("plain").conversation(query, 0, ())
    assert critique[:-1] == [*draft, {"role": "assistant", "content": "a draft"}]
    assert critique[-1]["role"] == "user" and "Check your reply" in critique[-1]["content"]
    assert revise[:-1] == [*critique, {"role": "assistant", "content": "a fault"}]
    assert revise[-1]["role"] == "user" and "write the reply again" in revise[-1]["content"]


def test_the_whole_revision_is_the_answer_unless_words_are_named(make: Make) -> None:
    assert make("critique_revise").answer("Answer: b \n") == "Answer: b"
    assert make("critique_revise", answer_after="Answer:").answer("Mended. Answer: b") == "b"


def test_its_templates_may_quote_draft_and_critique(make: Make, include: Path, query: Prompt) -> None:
    (include / "mine.txt").write_text("{{ draft }}|{{ critique }}|{{ query }}|{{ prompt }}", encoding="utf-8")
    strategy = make("critique_revise", templates={"revise": "mine.txt"})
    assert strategy.conversation(query, 0, ("d", "c"))[-1]["content"] == "d|c|Anna here|Read it."
    assert strategy.version != make("critique_revise").version
