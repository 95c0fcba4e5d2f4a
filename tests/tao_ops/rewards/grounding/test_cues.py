"""What a question asks for, and which part of a message is the question."""

import pytest

from tao_ops.rewards.grounding.cues import Step, asks_count, asks_when, part, stated, steps


@pytest.mark.parametrize(
    ("question", "step"),
    [
        ("What was the percentage change in sales from 2018 to 2019?", Step.CHANGE),
        ("By how much percent did sales grow?", Step.CHANGE),
        ("What is the average of sales in 2018 and 2019?", Step.AVERAGE),
        ("What is the ratio of sales to costs?", Step.RATIO),
        ("Sales as a percentage of the total?", Step.SHARE),
        ("What was the change in sales?", Step.DIFFERENCE),
        ("How much more were sales than costs?", Step.DIFFERENCE),
        ("What were sales in 2019?", Step.DIRECT),
    ],
)
def test_words_tell_the_likeliest_step(question: str, step: Step) -> None:
    assert max(steps(question).items(), key=lambda item: item[1])[0] is step
    assert sum(steps(question).values()) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("message", "question"),
    [
        ("Sales\t5\nCosts\t7\n\nWhat are the costs?", "What are the costs?"),
        ("What are the costs?\nSales\t5\nCosts\t7", "What are the costs?"),
        ("Sales\t5\nCosts\t7\nWhat are the costs?\nAnswer with a number.", "What are the costs?"),
        ("Sales\t5\nCosts\t7\nGive the total.", "Give the total."),
        ("Sales\t5\nCosts\t7", ""),
        ("Why? " + "A long story of our sales. " * 30 + "What are the costs?\nSales\t5", "What are the costs?"),
        ("", ""),
    ],
)
def test_the_question_is_told_from_the_document(message: str, question: str) -> None:
    assert part(message)[0] == question
    assert question == "" or question not in part(message)[1]


def test_what_kind_of_answer_is_asked_for() -> None:
    assert asks_when("In which of these years were sales higher?") and not asks_when("What were sales in 2019?")
    assert asks_count("How many items rose?") and not asks_count("How much did sales rise?")


def test_an_answer_may_name_its_step() -> None:
    assert stated("Sales rose by ", "% to 5", percent=True) is Step.CHANGE
    assert stated("a ", " increase", percent=False) is Step.DIFFERENCE
    assert stated("an average of ", "", percent=False) is Step.AVERAGE
    assert stated("Sales rose by 5% to ", " million", percent=False) is None
