"""One rendering of the production prompt, shared by all who use it."""

from tao_ops import prompts
from tao_ops.records import Message

CONVERSATION: list[Message] = [
    {"role": "user", "content": "hi"},
    {"role": "assistant", "content": "yes?"},
    {"role": "user", "content": "Anna here"},
]


def test_the_production_prompt_is_the_system_message_before_the_conversation() -> None:
    rendered = prompts.production("Read it.", CONVERSATION)
    assert rendered == [{"role": "system", "content": "Read it."}, *CONVERSATION]


def test_worked_examples_stand_between_prompt_and_conversation_in_their_order() -> None:
    examples: list[list[Message]] = [
        [{"role": "user", "content": f"q{i}"}, {"role": "assistant", "content": f"a{i}"}] for i in (2, 1)
    ]
    rendered = prompts.with_demonstrations("Read it.", examples, CONVERSATION)
    assert [message["content"] for message in rendered] == [
        "Read it.", "q2", "a2", "q1", "a1", "hi", "yes?", "Anna here",
    ]  # fmt: skip
    assert prompts.with_demonstrations("Read it.", [], CONVERSATION) == prompts.production("Read it.", CONVERSATION)


def test_a_digest_names_a_prompt() -> None:
    assert prompts.digest("Read it.") == prompts.digest("Read it.") != prompts.digest("Read it!")
    assert len(prompts.digest("")) == 16
