"""Loops of words and of characters, and what repeats by nature."""

import json

import pytest

from tao_ops.config import RepetitionConfig
from tao_ops.records import Candidate
from tao_ops.rewards.flags.repetition import marks


def _marked(text: str, *, words: int = 4, share: float = 0.3) -> bool:
    config = RepetitionConfig(kind="repetition", name="repetition", words=words, share=share)
    return marks(config, [Candidate("q", "", text)])[0]


@pytest.mark.parametrize(
    "text",
    [
        "Your parcel is late today. " * 4,
        "no " * 8,
        "The answer is Oslo. " + "!" * 40,
        "ha" * 50,
        "\n" * 500,
        '{"city": "Oslo"' + " " * 300 + "}",
        '{"city": "' + "Oslo is a city in Norway. " * 8 + '"}',
        "您的订单已经发货。" * 6,
        "".join(f"{n % 7}abcdefghijklm" for n in range(600)),
        "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, " * 30,
    ],
)
def test_a_loop_is_marked(text: str) -> None:
    assert _marked(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no no no",
        "very very very very very good",
        "Your parcel is late. Your refund is late, too. Both will come on Monday, and I am sorry for that.",
        "| name | age |\n| ---------------- | ---------------- |\n| Anna Larsen | 41 |\n| Bela Novak | 37 |",
        json.dumps([{"name": "Anna", "paid": True, "city": "Oslo"}] * 20),
        json.dumps({"vector": [0] * 60, "label": "none"}),
        json.dumps(["pos", "neg", "pos", "pos", "neg"] * 2),
        "def f(x):\n" + " " * 40 + "return x",
        "您的订单昨天已经发货,预计星期一送达。如果没有收到,请联系客服,我们会帮您查询。",
    ],
)
def test_what_repeats_by_nature_is_not(text: str) -> None:
    assert not _marked(text)


def test_the_limit_is_the_users() -> None:
    text = "the parcel is late and the parcel is lost and gone"
    assert [_marked(text, words=2, share=share) for share in (0.1, 0.2)] == [True, False]
