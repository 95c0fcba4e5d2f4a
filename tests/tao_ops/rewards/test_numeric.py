import threading

import pytest

from tao_ops.records import Candidate
from tao_ops.rewards.base import Score
from tao_ops.rewards.numeric import canonical, score


def one(text: str, reference: str | None) -> Score:
    return score([Candidate("q", "", text, reference=reference)])[0]


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("It costs $1,200.00.", "1200"),
        ("6 * 3 = 18\n#### 18", "She sells 18.\n#### 18"),
        ("\\boxed{\\frac{1}{2}}", "0.5"),
        ("The answer is 50%.", "0.5"),
        ("The answer is 50%.", "50"),
        ("0.333333", "1/3"),
        ("\\boxed{2\\sqrt{3}}", "$\\sqrt{12}$"),
        ("The answer is $x^2 + 2x + 1$.", "\\boxed{(x+1)^2}"),
        ("\\boxed{3 \\times 10^3}", "3,000"),
    ],
)
def test_the_same_number_or_formula_is_right(text: str, reference: str) -> None:
    assert one(text, reference) == Score(1.0)


@pytest.mark.parametrize(
    ("text", "reference", "reason"),
    [
        ("#### 19", "18", "another number"),
        ("#### -18", "18", "another number"),
        ("#### 180", "18", "another number"),
        ("1000001", "1000000", "another number"),
        ("0.33", "1/3", "another number"),
        ("The answer is 50.", "0.5", "another number"),
        ("It is 18. The answer is 17, or 18.", "18", "another number"),
        ("\\boxed{x^2}", "$x^3$", "another number"),
        ("I am not sure.", "18", "no number"),
        ("", "18", "no number"),
        ("5/0", "18", "no number"),
    ],
)
def test_anything_else_is_wrong(text: str, reference: str, reason: str) -> None:
    assert one(text, reference) == Score(0.0, reason)


def test_without_a_reference_it_is_undecided() -> None:
    assert one("#### 18", None) == Score(None, "no reference")
    assert one("#### 18", "green") == Score(None, "the reference has no number")


def test_a_formula_without_end_is_undecided_and_the_next_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tao_ops.rewards.numeric._SECONDS", 0.5)
    assert one("\\boxed{9^{9^{9^9}}}", "18") == Score(None, "time limit")
    assert one("\\boxed{3^2}", "9") == Score(1.0)


def test_it_works_in_any_thread() -> None:
    found: list[Score] = []
    thread = threading.Thread(target=lambda: found.append(one("\\boxed{\\sqrt{16}}", "4")))
    thread.start()
    thread.join()
    assert found == [Score(1.0)]


def test_texts_with_the_same_answer_have_one_form() -> None:
    assert {canonical(text) for text in ("1,200.0", "It is 1200.", "$1200", "#### 1200", "\\boxed{1{,}200}")} == {
        "1200"
    }
    assert {canonical(text) for text in ("1/2", "0.5", "\\boxed{\\frac12}", "$\\frac{2}{4}$")} == {"1/2"}
    assert canonical("\\boxed{x^2+1}") == canonical("The answer is $1 + x^2$.") is not None
    assert canonical("dear") is canonical("") is None
