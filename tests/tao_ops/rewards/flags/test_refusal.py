"""A refusal stands at the beginning, or is all there is."""

import pytest

from tao_ops.config import RefusalConfig
from tao_ops.records import Candidate
from tao_ops.rewards.flags.refusal import marks


def _marked(text: str, *phrases: str) -> bool:
    return marks(RefusalConfig(kind="refusal", name="refusal", phrases=phrases), [Candidate("q", "", text)])[0]


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't assist with that.",
        "I cannot fulfill this request.",
        "As an AI language model, I don't have personal opinions.",
        "**Sorry**, I can’t help with that request.",
        "Unfortunately, I am unable to provide medical advice.",
        "I apologize, but I cannot provide that information.",
        "I'm really sorry, but I won't be able to help with that.",
        "Thank you for your message. Unfortunately, I can't help with that.",
        "Hi Anna, I'm sorry to say that I can't help you with that.",
        "I must decline to answer.",
        "I CAN'T.",
        '"I can\'t help with that."',
        "I understand your frustration, but I cannot give you legal advice.",
        "This request violates our content policy.",
        "I am sorry but I cannot help you, " + "for there are many reasons, " * 60,
    ],
)
def test_refusals(text: str) -> None:
    assert _marked(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I can't log in.",
        "I can't access my account since Monday, and I can't answer my phone.",
        "I'm sorry for the delay. Your parcel arrives on Monday.",
        "I can't help but notice the error: the total is 5.",
        'She was told "I can\'t help you" by the agent.',
        "The agent wrote: 'I cannot help with that.' Then she hung up.",
        '{"answer": "I can\'t help with that"}',
        '```json\n{"summary": "Agent: I cannot help with that."}\n```',
        "No. The card is not blocked.",
        "I don't know.",
        "I do not feel comfortable verifying my identity.",
        "The steps are as follows. " + "Press the button and wait. " * 10 + "I can't help with that.",
    ],
)
def test_what_only_looks_like_one(text: str) -> None:
    assert not _marked(text)


def test_phrases_of_the_user() -> None:
    assert _marked("Leider: DAS GEHT NICHT.", "das geht  nicht", "Leider:")
    assert _marked("I don't know.", "I don’t know")
    assert not _marked("I don't knowingly do so.", "I don't know")
    assert not _marked("Anything.", " ")
