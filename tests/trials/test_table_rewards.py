"""The trial of table grounding makes answers wrong as it says, and measures what it says."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from trials.real_logs.data import DATA
from trials.table_rewards import auroc, measure
from trials.table_rewards.data import KINDS, Item, halves, right_answer, verbatim

NAMES = ("Sales", "Costs", "Profit", "Tax")


def _question(text: str, answer: Any, scale: str, kind: str = "span") -> dict[str, Any]:
    return {"question": text, "answer": answer, "scale": scale, "answer_type": kind, "answer_from": "table"}


def _document(number: int) -> dict[str, Any]:
    values = {name: (1000 + 137 * number + 211 * i, 1500 + 171 * number + 93 * i) for i, name in enumerate(NAMES)}
    rows = [[name, f"{new:,}", f"{old:,}"] for name, (new, old) in values.items()]
    new, old = values["Costs"]
    return {
        "table": {"uid": f"t{number}", "table": [["(in thousands)", "2019", "2018"], *rows]},
        "paragraphs": [{"order": 1, "text": "The table shows what we earned."}],
        "questions": [
            _question("What were the costs in 2019?", [f"{new:,}"], "thousand"),
            _question("What was the change in costs from 2018 to 2019?", new - old, "thousand", "arithmetic"),
            _question(
                "What was the percentage change in costs from 2018 to 2019?",
                round(100 * (new - old) / old, 2),
                "percent",
                "arithmetic",
            ),
            _question("How many rows are there?", "4", "", "count"),
            _question("What does the table show?", ["what we earned"], ""),
        ],
    }


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> list[Item]:
    path = tmp_path_factory.mktemp("tatqa") / "dev.json"
    path.write_text(json.dumps([_document(number) for number in range(12)]), encoding="utf-8")
    first, other = halves(path, 1)
    assert {item.document for item in first}.isdisjoint(item.document for item in other)
    assert [len(first), len(other)] == [24, 24]
    assert halves(path, 1) == (first, other)
    return first + other


def test_a_query_is_a_document_with_its_question_and_answers_are_wrong_in_one_number(items: list[Item]) -> None:
    for item in items:
        assert item.query.startswith("The table shows") and item.query.endswith("?")
        if item.answer_type == "count":
            assert not item.wrong
            continue
        assert item.right not in item.wrong.values()
        digits = {kind: re.sub(r"[^\d.]", "", text) for kind, text in item.wrong.items()}
        assert digits["scale"] == digits["sign"] == re.sub(r"[^\d.]", "", item.right)
        assert verbatim(item.wrong["unsupported"], item.query) == 0.0
    assert {kind for item in items for kind in item.wrong} == set(KINDS)
    assert all(verbatim(item.wrong["neighbour"], item.query) for item in items if "neighbour" in item.wrong)


def test_right_answers_are_told_from_wrong_ones(items: list[Item]) -> None:
    told = measure(items)
    assert told["documents"] == 12
    assert all(told[kind]["all"]["auroc"] > 0.95 for kind in KINDS[:3])
    assert told["scale"]["all"]["verbatim_auroc"] == 0.5
    assert told["right"]["count"] == {"n": 12, "undecided": 12, "mean": None, "from_half": None}


@pytest.mark.parametrize(
    ("answer", "scale", "text"),
    [
        (-8736, "million", "-8,736 million"),
        (-28.05, "percent", "-28.05%"),
        (["65", "(114)"], "million", "65 million, (114) million"),
        (["$224 million"], "million", "$224 million"),
        ("3", "", "3"),
    ],
)
def test_a_right_answer_has_its_scale(answer: Any, scale: str, text: str) -> None:
    assert right_answer({"answer": answer, "scale": scale}) == text


def test_auroc_counts_a_tie_as_half() -> None:
    assert auroc([1.0, 1.0], [0.0, 1.0]) == 0.75 and auroc([0.3], [0.3]) == 0.5


def test_the_data_set_holds_what_the_trial_says() -> None:
    path: Path = DATA / "tatqa" / "tatqa_dataset_dev.json"
    if not path.is_file():
        pytest.skip(f"there is no {path}")
    first, other = halves(path, 1)
    assert len({item.document for item in first}) + len({item.document for item in other}) > 270
    assert sum("neighbour" in item.wrong for item in other) > 100
