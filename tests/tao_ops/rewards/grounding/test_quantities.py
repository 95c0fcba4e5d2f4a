"""Numbers are read as people write them."""

import pytest

from tao_ops.rewards.grounding.quantities import Kind, cell_hint, hints, read


@pytest.mark.parametrize(
    ("text", "value", "scale", "percent"),
    [
        ("(1,234)", -1234.0, None, False),
        ("$(53)", -53.0, None, False),
        ("-$5 million", -5.0, 1e6, False),
        ("−12.5 million", -12.5, 1e6, False),
        ("(12.5) million", -12.5, 1e6, False),
        ("1.2bn", 1.2, 1e9, False),
        ("$5m", 5.0, 1e6, False),
        ("5k", 5.0, 1e3, False),
        ("(5.2)%", -5.2, None, True),
        ("12.5 per cent", 12.5, None, True),
        ("50 basis points", 0.5, None, True),
        ("1.234,5", 1234.5, None, False),
        ("1.234.567", 1234567.0, None, False),
        ("12,5", 12.5, None, False),
        ("1’234", 1234.0, None, False),
        ("1\u00a0234\u00a0567", 1234567.0, None, False),
        ("12,34,567", 1234567.0, None, False),
        ("1/2", 0.5, None, False),
        ("1e3", 1000.0, None, False),
        ("\ud800 7", 7.0, None, False),
    ],
)
def test_sign_scale_and_percent(text: str, value: float, scale: float | None, percent: bool) -> None:
    (found,) = read(text, 9)
    assert (found.value, found.scale, found.percent) == (value, scale, percent)


@pytest.mark.parametrize("text", ["", "NaN", "1e999", "9" * 400, "inf", "v1.2.3", "S2NA", "()", "1/0", "--"])
def test_what_is_no_number(text: str) -> None:
    assert read(text, 9) == []


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("December 31, 2019", "date date"),
        ("31 December 2019", "date date"),
        ("12/31/2019", "date date date"),
        ("in 2017-2019", "date date"),
        ("2,019 shares", "value"),
        ("$2019", "value"),
        ("sales (1) of 5", "mark value"),
        ("see Note 12 on the 10-K", "mark mark"),
        ("1. Sales: 5\n2. Costs: 7", "mark value mark value"),
        ("(7 + 9) / 2 = 8", "value value mark value"),
        ("0.05 × 100", "value mark"),
    ],
)
def test_dates_and_marks_are_no_values(text: str, kinds: str) -> None:
    assert [found.kind for found in read(text, 9)] == [Kind(kind) for kind in kinds.split()]


def test_a_minus_between_two_numbers_is_no_sign() -> None:
    assert [found.value for found in read("(1,250 - 1,100) / 1,100, 5-10%, 2%-3% and -4", 9)] == [
        1250.0, 1100.0, 1100.0, 5.0, 10.0, 2.0, 3.0, -4.0,
    ]  # fmt: skip


def test_words_may_stand_for_a_minus() -> None:
    fell, lost, rose = read("It fell by 5 million, after a loss of $3 million, and another year it rose by 7", 9)
    assert (fell.loose, lost.loose, rose.loose) == (True, True, False)


def test_no_more_numbers_than_asked_for() -> None:
    assert len(read("1 2 3 4", 3)) == 3


@pytest.mark.parametrize("text", ["1,11," * 9_000, "(" * 20_000, "- " * 10_000, "7" * 50_000, "1/2/" * 9_000])
def test_long_texts_take_no_time(text: str) -> None:
    read(text, 100)


@pytest.mark.parametrize(
    ("text", "scale"),
    [
        ("(in millions, except per share amounts)", 1e6),
        ("Amounts in table in thousands", 1e3),
        ("US$ in billions", 1e9),
        ("£'000", 1e3),
        ("$m", 1e6),
        ("USDm", 1e6),
    ],
)
def test_a_text_says_its_scale(text: str, scale: float) -> None:
    assert cell_hint(text) == scale
    assert {found for _, found in hints(text)} == {scale}


@pytest.mark.parametrize("text", ["5 million", "$8.6 million to $24.9 million", "millions of users", "Q2 m"])
def test_a_number_with_a_scale_says_nothing_of_others(text: str) -> None:
    assert hints(text) == []
