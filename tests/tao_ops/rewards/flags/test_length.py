"""Too short and too long, in words."""

from tao_ops.config import LengthConfig
from tao_ops.records import Candidate
from tao_ops.rewards.flags.length import marks


def _marks(*texts: str, least: int = 0, most: int | None = None) -> list[bool]:
    config = LengthConfig(kind="length", name="length", least=least, most=most)
    return marks(config, [Candidate("q", "", text) for text in texts])


def test_the_limits_themselves_are_allowed() -> None:
    assert _marks("a", "a b", "a b c", "a b c d", least=2, most=3) == [True, False, False, True]


def test_signs_and_blanks_do_not_make_an_answer_long_enough_but_too_long() -> None:
    assert _marks(" ", "… … … …", "\n" * 3000, least=1) == [True, True, True]
    assert _marks("a" * 3000, "\n" * 3000, "!?" * 1500, "a-" * 1500, most=50) == [True, True, True, True]


def test_scripts_without_blanks_are_measured_too() -> None:
    assert _marks("您的订单昨天已经发货。", "您", least=3, most=6) == [False, True]
    assert _marks("您的订单昨天已经发货。", most=4) == [True]


def test_without_limits_nothing_is_marked() -> None:
    assert _marks("", "a " * 9999) == [False, False]
