"""Values must be whole, maximal spans of the message, and distinct."""

import json

import pytest

from tao_ops.records import Candidate
from tao_ops.rewards.grounding.spans import is_span, score

KEYS = ("customer", "product")
QUERY = "Hi, Anna here, my rain jacket is late. Call <PHONE_1> or <EMAIL_1>."


def _scores(*answers: tuple[str, str] | str, query: str = QUERY) -> list[float | None]:
    texts = [a if isinstance(a, str) else json.dumps(dict(zip(KEYS, a, strict=True))) for a in answers]
    return [found.value for found in score([Candidate("q", query, text) for text in texts], keys=KEYS)]


def test_values_from_the_message_score_in_full() -> None:
    assert _scores(("Anna", "rain jacket")) == [1.0]


def test_a_value_that_is_not_in_the_message_costs_its_share() -> None:
    assert _scores(("Eve", "rain jacket"), ("Eve", "coat")) == [0.5, 0.0]


def test_part_of_a_longer_span_that_others_found_is_not_maximal() -> None:
    assert _scores(("Anna", "jacket"), ("Anna", "rain jacket")) == [0.5, 1.0]
    assert _scores(("Anna", "jacket"), ("Anna", "jacket"), ("Anna", "jacket"), ("Anna", "rain jacket"))[0] == 0.5


def test_one_that_copies_half_a_sentence_does_not_beat_all_others() -> None:
    many = [("Anna", "rain jacket")] * 4
    assert _scores(*many, ("Anna", "rain jacket is late"))[:4] == [1.0] * 4


def test_a_longer_span_of_another_query_does_not_count() -> None:
    batch = [
        Candidate("q1", QUERY, '{"customer": "Anna", "product": "jacket"}'),
        Candidate("q2", QUERY, '{"customer": "Anna", "product": "rain jacket"}'),
    ]
    assert [found.value for found in score(batch, keys=KEYS)] == [1.0, 1.0]


def test_one_that_does_not_vote_is_scored_and_sways_nobody() -> None:
    short, long = (json.dumps({"customer": "Anna", "product": product}) for product in ("jacket", "rain jacket"))
    probe = Candidate("q", QUERY, long, votes=False)
    assert [found.value for found in score([Candidate("q", QUERY, short), probe], keys=KEYS)] == [1.0, 1.0]
    silent = Candidate("q", QUERY, short, votes=False)
    assert [found.value for found in score([Candidate("q", QUERY, long), silent], keys=KEYS)] == [1.0, 0.5]


def test_a_longer_span_under_another_key_does_not_count() -> None:
    assert _scores(("Anna", "jacket"), ("rain jacket", "Anna"))[0] == 1.0


@pytest.mark.parametrize("value", [" rain jacket", "rain jacket ", "\train jacket", ""])
def test_a_blank_at_an_end_gets_nothing(value: str) -> None:
    assert _scores(("Anna", value)) == [0.0]


def test_the_same_value_twice_gets_nothing() -> None:
    assert _scores(("Anna", "Anna")) == [0.0]


@pytest.mark.parametrize("text", ["", "Anna", '{"customer": "Anna"}', '{"customer": "Anna", "product": 3}'])
def test_what_is_no_answer_gets_nothing(text: str) -> None:
    found = score([Candidate("q", QUERY, text)], keys=KEYS)
    assert [(one.value, one.reason) for one in found] == [(0.0, "no JSON object of these keys")]


@pytest.mark.parametrize(
    "value", ["<PHONE_1>", "PHONE_1", "PHONE", "<PHONE_1", "PHONE_1>", "Call <PHONE_1> or", "<EMAIL_1>.", "EMAIL_1"]
)
def test_a_redactors_placeholder_is_no_span(value: str) -> None:
    assert not is_span(value, QUERY)
    assert _scores(("Anna", value)) == [0.5]


@pytest.mark.parametrize(
    ("value", "text", "whole"),
    [
        ("jacket", "two jackets", False),
        ("rain", "a train", False),
        ("anna", "Anna here", False),
        ("Zoë", "Zoë's coat", True),
        ("Zo", "Zoë's coat", False),
        ("a.c", "abc", False),
        ("Den Haag", "in Den Haag.", True),
        ("X-200", "the X-200!", True),
    ],
)
def test_a_span_is_whole_words_letter_by_letter(value: str, text: str, whole: bool) -> None:
    assert is_span(value, text) is whole
