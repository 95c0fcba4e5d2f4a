"""Words are counted in every script."""

import pytest

from tao_ops.rewards.flags.words import beginning, count, items


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't pay 3.50 — it's late!", 5),
        ("हिन्दी में यह एक वाक्य है", 6),
        ("안녕하세요 세계", 2),
        ("您的订单昨天已经发货。", 5),
        ("日本語のテキスト、です。", 5),
        ("คำสั่งซื้อของคุณถูกจัดส่ง", 5),
        ("Order 我的订单 now", 4),
        ("😂😂 … ?! --- ©", 0),
        ("\ud800\udfff", 0),
        ('{"customer":"Anna","city":"Oslo"}', 4),
        ("", 0),
    ],
)
def test_the_count(text: str, words: int) -> None:
    assert count(text) == words


def test_case_does_not_matter_and_a_beginning_is_as_many_words() -> None:
    assert items("SELECT Name") == ["select", "name"]
    assert beginning("The parcel is late again", 3) == ("the", "parcel", "is")
    assert beginning("我的订单在哪里", 2) == ("我", "的", "订", "单")
    assert beginning("Late", 3) == ("late",)
