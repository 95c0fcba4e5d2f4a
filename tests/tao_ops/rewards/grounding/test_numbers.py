"""Numbers of an answer are supported by the document, directly or by one step, and not by chance."""

import doctest
import random
from types import ModuleType

import pytest

from tao_ops.records import Candidate
from tao_ops.rewards.grounding import cues, figures, numbers, quantities, spans, tables

REPORT = """Results (in millions, except per share)
| | 2019 | 2018 |
| --- | --- | --- |
| Revenue | $1,250.5 | $1,100.2 |
| Operating costs | (980.1) | (870.3) |
| Operating margin | 21.6% | 20.9% |
| Employees | 5,210 | 4,875 |
| Earnings per share | 1.27 | 1.05 |

Net debt fell to $2.4 billion in 2019. (1) See Note 12.
"""


def _support(question: str, *answers: str, document: str = REPORT) -> list[float | None]:
    return [s.value for s in numbers.score([Candidate("q", f"{document}\n{question}", text) for text in answers])]


SUPPORTED = [
    ("What was revenue in 2019?", "$1,250.5 million"),
    ("What was revenue in 2019?", "1.25 billion"),
    ("What was revenue in 2019?", "$1,250,500,000"),
    ("What was revenue in 2019?", "1,250.5"),
    ("What was revenue in 2019?", "In 2019, revenue was $1,250.5 million, up 13.7% from 1,100.2 million in 2018."),
    ("By what percentage did revenue change from 2018 to 2019?", "13.66%"),
    ("By what percentage did revenue change from 2018 to 2019?", "About 14%"),
    ("By what percentage did revenue change from 2018 to 2019?", "(1,250.5 - 1,100.2) / 1,100.2 × 100 = 13.66%"),
    ("What was the change in revenue from 2018 to 2019?", "150.3 million"),
    ("What was the average revenue in 2018 and 2019?", "1,175.4 million"),
    ("What was the ratio of revenue to employees in 2019?", "240,019"),
    ("What was the operating margin in 2019?", "2160 basis points"),
    ("What were earnings per share in 2019?", "$1.27"),
    ("What were the operating costs in 2019?", "(980.1) million"),
    ("How many employees were there in 2018?", "4875"),
    ("What was net debt in 2019?", "2,400 million"),
    ("In which year was revenue higher?", "2019"),
]
UNSUPPORTED = [
    ("What was revenue in 2019?", "1,250.5 thousand"),
    ("What was revenue in 2019?", "1,250.5 billion"),
    ("What was revenue in 2019?", "1,250.5%"),
    ("What was revenue in 2019?", "-1,250.5 million"),
    ("What was revenue in 2019?", "1,352.7 million"),
    ("What was revenue in 2019?", "2019"),
    ("What was revenue in 2019?", "Revenue was $1,250.5 million, up 31.2% from 1,100.2 million."),
    ("By what percentage did revenue change from 2018 to 2019?", "-13.66%"),
    ("By what percentage did revenue change from 2018 to 2019?", "13.66"),
    ("By what percentage did revenue change from 2018 to 2019?", "17.2%"),
    ("What was the change in revenue from 2018 to 2019?", "-150.3 million"),
    ("What was the average revenue in 2018 and 2019?", "1,195.4 million"),
    ("What was the operating margin in 2019?", "21.6"),
    ("What was the operating margin in 2019?", "26.1%"),
    ("What were earnings per share in 2019?", "1.27 million"),
    ("What were the operating costs in 2019?", "(980.1) thousand"),
    ("How many employees were there in 2019?", "5,210 million"),
    ("How many employees were there in 2019?", "335"),
    ("What was net debt in 2019?", "2.4 million"),
    ("In which year was revenue higher?", "2017"),
]


@pytest.mark.parametrize(("question", "answer"), SUPPORTED)
def test_what_the_document_says_is_supported(question: str, answer: str) -> None:
    (value,) = _support(question, answer)
    assert value is not None and value > 0.5


@pytest.mark.parametrize(("question", "answer"), UNSUPPORTED)
def test_a_wrong_scale_sign_or_number_is_not(question: str, answer: str) -> None:
    (value,) = _support(question, answer)
    assert value is not None and value < 0.5


def test_a_number_that_the_words_point_to_has_more_support_than_its_neighbour() -> None:
    right, neighbour = _support("What was revenue in 2019?", "1,250.5 million", "1,100.2 million")
    assert right is not None and neighbour is not None
    assert right > neighbour > 0.5


def test_a_derived_number_counts_less_than_one_that_stands_there_where_no_calculation_is_asked_for() -> None:
    direct, derived = _support("What was revenue in 2019?", "1,250.5 million", "150.3 million")
    assert direct is not None and derived is not None
    assert direct > 0.9 and derived < 0.5


def test_chance_supports_few_numbers_of_a_large_table() -> None:
    rng = random.Random(1)
    rows = [f"Item {chr(65 + i)}\t" + "\t".join(f"{rng.randint(1000, 99999):,}" for _ in range(4)) for i in range(15)]
    table = "\n".join(["(in millions)\t2016\t2017\t2018\t2019", *rows])
    made_up = [f"{rng.randint(1000, 99999):,} million" for _ in range(100)]
    found = _support("What was the change in Item C from 2018 to 2019?", *made_up, document=table)
    assert sum(value is not None and value > 0.5 for value in found) <= 2


def test_the_least_supported_number_decides_so_that_padding_gains_nothing() -> None:
    alone, padded = _support("What was revenue in 2019?", "1,352.7 million", "1,352.7 million; costs 980.1, EPS 1.27")
    assert alone == padded == 0.0


def test_context_counts_as_given() -> None:
    (found,) = numbers.score([Candidate("q", "What was revenue in 2018?", "1,100.2 million", context=REPORT)])
    assert found.value is not None and found.value > 0.5


def test_numbers_of_the_question_alone_support_nothing() -> None:
    (value,) = _support("Was revenue 1,352.7 million in 2019?", "1,352.7 million")
    assert value == 0.0


def test_a_document_in_the_question_itself() -> None:
    asked = "Revenue was 5.2 million in 2018 and 6.1 million in 2019. What is the change?"
    right, wrong = _support(asked, "0.9 million", "0.4 million", document="")
    assert right is not None and right > 0.5 and wrong == 0.0


def test_a_german_table() -> None:
    table = "in Mio. EUR\t2019\t2018\nUmsatz\t1.250,5\t1.100,2\nKosten\t980,1\t870,3"
    right, wrong = _support("Wie hoch war der Umsatz 2019?", "1.250,5 Mio. EUR", "1.250,5 Mrd. EUR", document=table)
    assert right is not None and wrong is not None and right > 0.5 > wrong


@pytest.mark.parametrize(
    ("document", "question", "answer", "reason"),
    [
        (REPORT, "What was revenue?", "It was high.", "no number in the answer"),
        (REPORT, "What was revenue?", "", "no number in the answer"),
        (REPORT, "What was revenue?", "See Note 12.", "no number in the answer"),
        ("Nothing here.", "What was revenue?", "5 million", "no number in the given text"),
        ("7\n" * 3000, "What was revenue?", "5 million", "too many numbers in the given text"),
        ("a" * 500_000, "What was revenue?", "5 million", "the given text is too long"),
        (REPORT, "How many of the rows rose?", "3", "a count, which need not stand in the text"),
    ],
)
def test_what_cannot_be_decided_has_its_reason(document: str, question: str, answer: str, reason: str) -> None:
    (found,) = numbers.score([Candidate("q", f"{document}\n{question}", answer)])
    assert (found.value, found.reason) == (None, reason)


@pytest.mark.parametrize(
    "answer", ["\ud800 5", "1e999", "NaN", "-0", "0", "9" * 5000, "5%%", "(" * 999, "7 " * 9999, "٣"]
)
def test_any_text_gets_a_score(answer: str) -> None:
    strange = "Sales\t5\t1e59\t0\t\ud800\nCosts\t-5\t0\t1e-59\t3"
    (found,) = numbers.score([Candidate("q", f"{strange}\nWhat were sales?", answer)])
    assert found.value is None or 0.0 <= found.value <= 1.0


def test_scores_are_in_the_order_of_the_batch_and_each_of_its_own_query() -> None:
    other = "Revenue was 7.5 million.\nWhat was revenue?"
    batch = [
        Candidate("a", f"{REPORT}\nWhat was revenue in 2019?", "1,250.5 million"),
        Candidate("b", other, "1,250.5 million"),
        Candidate("b", other, "7.5 million"),
    ]
    first, second, third = (found.value for found in numbers.score(batch))
    assert first is not None and first > 0.5 and second == 0.0 and third is not None and third > 0.5
    assert numbers.score([]) == []


@pytest.mark.parametrize("module", [numbers, spans, quantities, figures, tables, cues])
def test_the_examples_of_the_docstrings_hold(module: ModuleType) -> None:
    done = doctest.testmod(module)
    assert done.attempted and not done.failed
