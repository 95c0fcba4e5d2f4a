import threading

import pytest

from tao_ops.records import Candidate
from tao_ops.rewards.base import Score
from tao_ops.rewards.limits import LimitError
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


@pytest.mark.parametrize(
    "text", ["9^{9^{9^9}}", "10^{10^{10}}", "\\binom{10^9}{5\\cdot10^8}", f"{'(' * 800}1{')' * 800}+x"]
)
def test_a_formula_without_end_is_wrong_and_the_next_is_not(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tao_ops.rewards.numeric._SECONDS", 0.3)
    assert one(f"\\boxed{{{text}}}", "18") == Score(0.0, "takes too long to compare")
    assert one("\\boxed{3^2}", "9") == Score(1.0)


def test_a_reference_without_end_is_undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tao_ops.rewards.numeric._SECONDS", 0.3)
    assert one("18", "\\boxed{8^{8^{8^8}}}") == Score(None, "the reference takes too long to compare")


def test_equal_formulas_are_compared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def refuse(*arguments: object, **more: object) -> bool:
        asked.append(arguments)
        raise LimitError("time limit")

    monkeypatch.setattr("tao_ops.rewards.numeric.limited", refuse)
    batch = [Candidate("q", "", "\\boxed{7^{7^{7^7}}}", reference="17")] * 9
    assert {found.value for found in score(batch)} == {None}
    assert {canonical(candidate.text) for candidate in batch} == {None}
    assert len(asked) == 3  # the answer, the reference by itself, the answer's form


@pytest.mark.parametrize("text", ["#### 2**3", "The answer is 2**3.", "\\boxed{2**3}", "#### **2**3**", "#### 2 ** 3"])
def test_two_asterisks_are_a_power(text: str) -> None:
    assert one(text, "8") == Score(1.0)
    assert one(text, "23").value == one(text, "2").value == 0.0
    assert canonical(text) == "8"


@pytest.mark.parametrize("text", ["#### **23**", "The answer is **23**.", "**Answer:** 23", "#### **23** apples (red)"])
def test_bold_numbers_are_read(text: str) -> None:
    assert one(text, "23") == Score(1.0)


@pytest.mark.parametrize("text", ["\\frac{1}{0}", "\\frac{0}{0}", "\\infty", "-\\infty", "1/0*(2)", "x+\\frac{1}{0}"])
def test_an_undefined_formula_has_no_form(text: str) -> None:
    assert canonical(f"\\boxed{{{text}}}") is None


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
