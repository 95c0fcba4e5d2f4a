"""An answer that a user corrected labels what models said, by the task's own comparison, and does no more than that."""

import json
from typing import Any

import pytest

from tao_ops import turns
from tao_ops.erasure_plan import Subject, make_plan, remove
from tao_ops.records import Candidate, StageReport
from tao_ops.scoring.corrections import agreed, comparison
from tao_ops.scoring.to_label import to_label
from tao_ops.stages import generate, ingest, score, update, validate
from tao_ops.tables import QUERIES, RESPONSES
from tests.tao_ops.conftest import TEXTS, right_answer

Shop = Any
WRONG = json.dumps({"customer": "x", "product": "y", "city": "z"})
KEYS = ["customer", "product", "city"]
SOFT = [{"name": "grounding", "keys": KEYS, "least": 0.0}, {"name": "consensus"}]


def _lines(shop: Shop, day: int = 21, *, corrected: Any = right_answer, **changes: Any) -> list[str]:
    """A day's calls, each answered wrongly and then corrected."""
    lines = []
    for number, text in enumerate(TEXTS):
        logged = json.loads(shop.line(text, f"req-{day}-{number}", day=day))
        logged["response"]["choices"][0]["message"]["content"] = WRONG
        logged["request"]["user"] = f"user-{number}"
        lines.append(json.dumps({**logged, "corrected": corrected(text), **changes}))
    return lines


def _scored(shop: Shop, day: int = 21, **lines: Any) -> dict[str, Any]:
    shop.log_lines(_lines(shop, day, **lines), name=f"{day}.jsonl")
    for stage in (ingest, validate, generate):
        stage.run(shop.run(day))
    metrics: dict[str, Any] = score.run(shop.run(day)).metrics
    turns.record(shop.run(day), StageReport("score", rows_in=1, metrics=metrics))
    return metrics["calibration"]["tickets"]  # type: ignore[no-any-return]


def _responses(shop: Shop, day: int = 21) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = shop.run().lake.read(RESPONSES, turn=shop.run(day).turn.key).to_pylist()
    return rows


def test_corrections_fit_a_calibrator_of_this_turn_and_of_later_ones(shop: Shop) -> None:
    shop.change("tasks.tickets.calibration", {"least": 4})
    shop.change("tasks.tickets.scorers", SOFT)
    told = _scored(shop)
    rows = _responses(shop)
    judged = len({row["query_id"] for row in rows})
    # The answer that the user got is down, and each candidate is compared with the corrected one: four of five agree.
    assert told["calibrator"]["labels"] == {"corrected": len(rows), "feedback": judged}
    assert told["report"]["labels"] == told["calibrator"]["labels"]
    share = 0.8 * len(rows) / (len(rows) + judged)
    assert told["report"]["base_rate"] == pytest.approx(share, abs=0.05)
    later = _scored(shop, 22, corrected=lambda text: None)
    assert later["calibrator"]["labels"] == told["calibrator"]["labels"]


def test_a_correction_is_no_row_to_train_on(shop: Shop) -> None:
    poison = json.dumps({"customer": "evil", "product": "evil", "city": "evil"})
    _scored(shop, corrected=lambda text: poison)
    assert all("evil" not in row["text"] for row in _responses(shop))
    shop.change("update.method", "raft")
    update.run(shop.run())
    folder = shop.run().lake.artifacts(shop.run().turn, shop.run().run_id)
    kept = [path for path in folder.rglob("*") if path.is_file() and b"evil" in path.read_bytes()]
    assert kept == []


def test_without_corrections_nothing_changes(shop: Shop) -> None:
    told = _scored(shop, corrected=lambda text: None)
    assert told["calibrator"] is None and told["report"] is None


def test_a_thumb_up_with_a_correction_that_differs_is_a_thumb_down(shop: Shop) -> None:
    shop.change("tasks.tickets.calibration", {"least": 4})
    shop.change("tasks.tickets.scorers", SOFT)
    told = _scored(shop, feedback="up")
    assert told["calibrator"]["labels"]["feedback"] == len({row["query_id"] for row in _responses(shop)})
    assert 0.5 < told["report"]["base_rate"] < 0.8


def test_a_verifier_that_decides_knows_better_than_users(shop: Shop) -> None:
    shop.change("tasks.tickets.calibration", {"least": 4})
    scorers = [{"name": "json_schema", "keys": KEYS, "decides": True}, *SOFT]
    shop.change("tasks.tickets.scorers", scorers)
    labels = _scored(shop, corrected=lambda text: WRONG)["calibrator"]["labels"]
    assert "corrected" not in labels and labels["verified"] == len(_responses(shop))


def _compare(shop: Shop, scorers: list[dict[str, Any]], *pairs: tuple[str, str]) -> list[float | None]:
    shop.change("tasks.tickets.scorers", scorers)
    batch = [Candidate("q", "", text, reference=right) for text, right in pairs]
    return comparison(shop.run().flywheel, "tickets")(batch)


def test_answers_are_compared_as_the_task_compares_them(shop: Shop) -> None:
    objects = [('{"a": 1, "b": 2}', '{"b":2,"a":1}'), ('{"a": 1}', '{"a": 2}'), ("It is 1.", '{"a": 1}'), ("", "so")]
    assert _compare(shop, SOFT, *objects) == [1.0, 0.0, 0.0, 0.0]
    assert _compare(shop, SOFT, ("on  its way", "on its way"), ("It is on its way.", "on its way")) == [1.0, None]
    numbers = [("So it is 1,200.", "1200"), ("It is 7.", "1200"), ("It is 7.", "many")]
    assert _compare(shop, [{"name": "numeric"}], *numbers) == [1.0, 0.0, None]
    labels = [{"name": "label", "labels": ["refund", "card"], "case": False}, {"name": "consensus"}]
    assert _compare(shop, labels, ("Refund", "refund"), ("card", "refund")) == [1.0, 0.0]


def _said(user: str | None, at: int, text: str, query_id: str = "q") -> dict[str, Any]:
    return {"query_id": query_id, "user_hash": user, "received_at": at, "corrected": text}


def test_of_several_users_most_are_believed_and_each_once() -> None:
    assert agreed([_said("a", 1, "x"), _said("a", 2, "x"), _said("a", 3, "x"), _said("b", 1, "y")]) == {}
    assert agreed([_said("a", 1, "x"), _said("a", 2, "y"), _said("b", 1, "y")]) == {"q": "y"}
    assert agreed([_said(None, 1, "x"), _said(None, 1, "x"), _said("b", 1, "y")]) == {"q": "x"}
    assert agreed([_said("a", 1, "x"), _said("a", 1, "y", "p")]) == {"p": "y", "q": "x"}


def test_a_query_to_label_shows_its_corrected_answer_and_a_person_decides(shop: Shop) -> None:
    _scored(shop)
    run = shop.run()
    lines = to_label(run.lake, run.flywheel, run.turn, task="tickets", queries=5, seed=1)
    assert [line["reference"] for line in lines] == [right_answer(line["messages"][0]["content"]) for line in lines]
    assert {one["correct"] for line in lines for one in line["responses"]} == {None}


def test_what_is_erased_takes_its_correction_with_it(shop: Shop) -> None:
    shop.change("tasks.tickets.scorers", SOFT)
    _scored(shop)
    lake, name = shop.run().lake, shop.run().flywheel.name
    (row, *_) = lake.read(QUERIES, columns=["user_hash", "query_id"]).to_pylist()
    remove(lake, make_plan(lake, name, Subject(user_hash=row["user_hash"])))
    left = lake.read(QUERIES, columns=["query_id", "corrected"]).to_pylist()
    assert len(left) == len(TEXTS) - 1 and row["query_id"] not in {one["query_id"] for one in left}
