"""The redactor on messages of which every personal value is known."""

import pytest

from tao_ops.config import PersonalKind
from tao_ops.privacy import Redactor
from tests.tao_ops.privacy import labelled

PARTS = ("tuning", "more", "held")


@pytest.fixture(scope="module")
def redactor() -> Redactor:
    return Redactor(labelled.CONFIG)


def test_the_set_is_large_varied_and_the_same_every_time() -> None:
    messages = [message for part in PARTS for message in labelled.messages(part)]
    assert len(messages) >= 600
    assert 0.3 < sum(not message.spans for message in messages) / len(messages) < 0.6
    assert {span.kind for message in messages for span in message.spans} == set(PersonalKind)
    assert labelled.messages("held") == labelled.messages("held") != labelled.messages("held", seed=1)


@pytest.mark.parametrize("parts", [("held",), PARTS], ids=["held", "all"])
@pytest.mark.parametrize("kind", PersonalKind)
def test_nearly_everything_personal_is_found_and_nearly_nothing_else(
    redactor: Redactor, parts: tuple[str, ...], kind: PersonalKind
) -> None:
    messages = [message for part in parts for message in labelled.messages(part)]
    measured = labelled.measure(labelled.spans(redactor), messages)[kind]
    assert measured.there >= 48
    assert measured.recall >= 0.98
    assert measured.precision >= 0.97


@pytest.mark.parametrize("part", PARTS)
def test_redacting_the_set_twice_changes_nothing(redactor: Redactor, part: str) -> None:
    for message in labelled.messages(part):
        once = redactor.redact(message.text)
        assert redactor.redact(once) == once
        assert bool(redactor.find(message.text)) == (once != message.text)
