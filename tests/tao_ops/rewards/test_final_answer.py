from fractions import Fraction

import pytest

from tao_ops.rewards.final_answer import find, is_formula, number


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("5 + 3 = 8, so\n#### 8", "8"),
        ("#### 7\nNo, wait.\n#### 8", "8"),
        ("#### $1,200.00 a year", "$1,200.00 a year"),
        ("So \\boxed{7}, or rather \\boxed{\\frac{1}{2}}, in 3 steps.", "\\frac{1}{2}"),
        ("\\boxed{x = 5}", "5"),
        ("\\boxed{12\\text{ cm}}", "12  cm"),
        ("The answer is **18**. It took 2 steps.", "18"),
        ("#### **18**.", "18"),
        ("The answer is **x^2**.", "x^2"),
        ("#### 2**3", "2^3"),
        ("The answer is 2 ** (x + 1)", "2^(x + 1)"),
        ("The final answer is:\n\n$18$", "18"),
        ("The answer to all of this is 16 - 3 - 4 = 9 eggs.", "9"),
        ("**Answer:** $1,200", "$1,200"),
        ("Answer: 5 apples, 3 of them red", "5"),
        ("2 points/answer = 48 points. In the end there are 66.", "66"),
        ("To express the answer as a percentage: 25%. There are 75.", "75"),
        ("She has 3 apples, eats 1, and 2 are left.", "2"),
        ("She pays $1,200 and $300 more", "$300"),
        ("It is 10 percent.", "10%"),
        ("Therefore \\(x = 2\\sqrt{3}\\).", "2\\sqrt{3}"),
        ("#### none\n", None),
        ("No idea.", None),
        ("", None),
    ],
)
def test_where_the_answer_is(text: str, answer: str | None) -> None:
    assert find(text) == answer


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ("1,200.50", Fraction(2401, 2)),
        ("1,00,000", Fraction(100_000)),
        ("-$5", Fraction(-5)),
        ("$-5", Fraction(-5)),
        ("−5", Fraction(-5)),
        (".5", Fraction(1, 2)),
        ("3/4", Fraction(3, 4)),
        ("2 1/2 cups", Fraction(5, 2)),
        ("1.5 million", Fraction(1_500_000)),
        ("2e3", Fraction(2000)),
        ("5/0", None),
        ("1e999999999", None),
        ("9" * 5000, None),
        ("1,20", None),
        ("x + 1", None),
        ("two", None),
    ],
)
def test_what_number_it_is(answer: str, value: Fraction | None) -> None:
    assert number(answer) == value


def test_a_unit_makes_no_formula() -> None:
    assert not any(map(is_formula, ("5 km", "$3.50 per hour", "1/2 cup", "10%")))
    assert all(map(is_formula, ("x^2", "2x", "\\frac12", "3 * 4", "(1, 2)", "sqrt(2)")))


@pytest.mark.parametrize(
    "text",
    ["\\(" * 50_000, "Answer: (" + "," * 50_000, "$" * 50_000, "\\boxed{" * 20_000, "answer " * 50_000, "1 " * 50_000],
)
def test_a_hostile_text_is_read_in_no_time(text: str) -> None:
    assert find(text) in (None, "1")
