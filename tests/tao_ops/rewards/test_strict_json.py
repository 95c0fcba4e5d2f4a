"""One JSON object with exactly the keys, each a text; nothing around it."""

import pytest

from tao_ops.records import Candidate
from tao_ops.rewards.strict_json import fields, score

KEYS = ("customer", "city")
GOOD = '{"customer": "Anna", "city": "Oslo"}'


def test_the_right_object_scores_whatever_its_order_and_outer_blanks() -> None:
    texts = [GOOD, '{"city": "Oslo", "customer": "Anna"}', f" \n{GOOD}\n"]
    assert score([Candidate("q", "", text) for text in texts], keys=KEYS) == [1.0, 1.0, 1.0]
    assert fields(GOOD, KEYS) == {"customer": "Anna", "city": "Oslo"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Anna, Oslo",
        f"Sure! {GOOD}",
        f"```json\n{GOOD}\n```",
        f"{GOOD}{GOOD}",
        f"[{GOOD}]",
        "{'customer': 'Anna', 'city': 'Oslo'}",
        '{"customer": "Anna"}',
        '{"customer": "Anna", "city": "Oslo", "country": "Norway"}',
        '{"customer": "Anna", "city": "Oslo", "city": "Rome"}',
        '{"customer": "Anna", "city": ""}',
        '{"customer": "Anna", "city": "  "}',
        '{"customer": "Anna", "city": " Oslo"}',
        '{"customer": "Anna", "city": "Oslo "}',
        '{"customer": "Anna", "city": null}',
        '{"customer": "Anna", "city": NaN}',
        '{"customer": "Anna", "city": ["Oslo"]}',
        "[" * 100_000,
    ],
)
def test_anything_else_scores_nothing(text: str) -> None:
    assert score([Candidate("q", "", text)], keys=KEYS) == [0.0]


def test_no_candidates_no_scores() -> None:
    assert score([], keys=KEYS) == []
