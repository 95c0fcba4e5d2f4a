"""A line that cannot be used is counted once, in one turn, and what is kept of it names nobody."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tao_ops.config import Flywheel
from tao_ops.intake import Intake
from tao_ops.lake import Lake, open_lake
from tao_ops.refusals import EXCERPT, Refusals
from tao_ops.sources.fields import beginning, readable
from tao_ops.sources.records import BrokenLine, Window
from tao_ops.spool import Spool
from tao_ops.tables import QUARANTINE, Reason
from tao_ops.turn import Turn

DAY = datetime(2026, 11, 21, tzinfo=UTC)


def _turn(day: int = 21) -> Turn:
    start = datetime(2026, 11, day, tzinfo=UTC)
    return Turn("shop", start, start + timedelta(days=1))


def _intake(timezone: str) -> Intake:
    task = {
        "prompt": "p.txt",
        "expectations": "e.json",
        "strategies": [{"name": "plain", "samples": 1}],
        "scorers": [{"name": "consensus"}],
        "benchmarks": [{"name": "b", "path": "b", "primary": True}],
    }
    config = {"name": "shop", "sources": [{"path": "x"}], "tasks": {"t": task}, "evaluate": {"control": None}}
    return Intake(Flywheel.model_validate({**config, "timezone": timezone}), b"key")


@dataclass
class Counting:
    """The refusals of one turn, and what they put into quarantine."""

    refusals: Refusals
    spool: Spool
    intake: Intake

    def add(
        self, reason: Reason = Reason.NOT_JSON, *, position: str = "a.jsonl:1", file: str = "a.jsonl", **line: Any
    ) -> None:
        source = line.pop("source", "web")
        self.refusals.add(BrokenLine(position, reason, line.pop("text", "{"), **line), source, file)

    @property
    def counted(self) -> int:
        return sum(self.refusals.reasons.values())

    def rows(self) -> list[dict[str, Any]]:
        return [row for batch in self.spool.read() for row in batch.to_pylist()]


class Make:
    """Makes the refusals of a turn that looks back two days."""

    def __init__(self, lake: Lake, folder: Path) -> None:
        self.lake, self._folder, self._spools = lake, folder, list[Spool]()

    def __call__(
        self, day: int = 21, *, waiting: tuple[int, ...] = (), erased: tuple[str, ...] = (), timezone: str = "UTC"
    ) -> Counting:
        turn, intake = _turn(day), _intake(timezone)
        self._spools.append(Spool(QUARANTINE.schema, self._folder / str(len(self._spools))))
        refusals = Refusals(
            self.lake,
            turn,
            Window(turn.start - timedelta(days=2), turn.end),
            waiting=[_turn(other) for other in waiting],
            intake=intake,
            spool=self._spools[-1],
            erased=erased,
        )
        return Counting(refusals, self._spools[-1], intake)

    def close(self) -> None:
        for spool in self._spools:
            spool.__exit__(None, None, None)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made = Make(open_lake(str(tmp_path / "lake")), tmp_path / "spools")
    yield made
    made.close()


def test_a_line_is_counted_once_and_kept_with_its_reason(make: Make) -> None:
    counting = make()
    for _ in range(2):
        counting.add(received_at=DAY, user="anna", text="write to anna@example.org")
    counting.add(Reason.NO_MESSAGES, received_at=DAY)
    counting.add(position="a.jsonl:2", received_at=DAY)
    counting.add(source="mail", received_at=DAY)
    assert dict(counting.refusals.reasons) == {"not_json": 3, "no_messages": 1}
    assert counting.refusals.first == "a.jsonl:1"
    first, *others = counting.rows()
    assert len(others) == 3
    assert {name: first[name] for name in ("source", "position", "reason", "excerpt", "user_hash")} == {
        "source": "web",
        "position": "a.jsonl:1",
        "reason": "not_json",
        "excerpt": "write to <EMAIL_1>",
        "user_hash": counting.intake.user_hash("anna"),
    }


def test_an_excerpt_is_short(make: Make) -> None:
    counting = make()
    counting.add(received_at=DAY, text="word " * 1000)
    assert len(counting.rows()[0]["excerpt"]) == EXCERPT


@pytest.mark.parametrize(
    ("at", "taken"),
    [
        (DAY - timedelta(days=2, microseconds=1), False),
        (DAY - timedelta(days=2), True),
        (DAY - timedelta(microseconds=1), True),
        (DAY, True),
        (DAY + timedelta(days=1, microseconds=-1), True),
        (DAY + timedelta(days=1), False),
    ],
)
def test_a_line_belongs_to_the_turn_that_looks_at_its_time(make: Make, at: datetime, taken: bool) -> None:
    counting = make()
    counting.add(received_at=at, file="2026-11-21.jsonl")
    assert counting.counted == len(counting.rows()) == taken


def test_what_belongs_to_a_turn_that_has_not_run_is_left_for_it(make: Make) -> None:
    counting = make(waiting=(20,))
    for number, day in enumerate((19, 20, 21)):
        counting.add(position=f"a.jsonl:{number}", received_at=datetime(2026, 11, day, 5, tzinfo=UTC))
    assert [row["position"] for row in counting.rows()] == ["a.jsonl:0", "a.jsonl:2"]


@pytest.mark.parametrize(
    ("file", "taken"),
    [
        ("s3://logs/2026-11-21.jsonl", True),
        ("/logs/2026-11-21-web.jsonl.gz", True),
        ("2026-11-22.jsonl", False),
        ("2026-11-18.jsonl", False),
        ("2026-13-99.jsonl", True),
        ("web.jsonl", True),
    ],
)
def test_a_line_without_a_time_counts_as_of_its_files_date(make: Make, file: str, taken: bool) -> None:
    counting = make()
    counting.add(file=file)
    assert counting.counted == taken


def test_the_date_of_a_file_is_one_where_the_flywheel_lives(make: Make) -> None:
    west, east = make(timezone="America/Los_Angeles"), make(timezone="Pacific/Kiritimati")
    for counting in (west, east):
        counting.add(file="2026-11-22.jsonl")
    assert (west.counted, east.counted) == (0, 1)


def test_what_another_turn_has_counted_is_not_counted_again(make: Make) -> None:
    row = {"source": "web", "position": "a.jsonl:1", "reason": "not_json", "excerpt": "{"}
    make.lake.write(QUARANTINE, [row], turn=_turn(20), run_id="r", stage="ingest")
    counting = make()
    counting.add()
    assert counting.counted == 0
    counting.add(Reason.NO_TIME)
    counting.add(position="a.jsonl:2")
    assert counting.counted == 2


@pytest.mark.parametrize("other", [{"stage": "validate"}, {"flywheel": "else"}, {"day": 21}])
def test_rows_of_this_turn_of_other_stages_and_of_other_flywheels_do_not_count(
    make: Make, other: dict[str, Any]
) -> None:
    turn = _turn(other.get("day", 20))
    row = {"source": "web", "position": "a.jsonl:1", "reason": "not_json", "excerpt": "{"}
    turn = Turn(other.get("flywheel", "shop"), turn.start, turn.end)
    make.lake.write(QUARANTINE, [row], turn=turn, run_id="r", stage=other.get("stage", "ingest"))
    counting = make()
    counting.add()
    assert counting.counted == 1


def test_of_an_erased_person_a_line_is_counted_and_not_kept(make: Make) -> None:
    gone = make().intake.user_hash("anna")
    counting = make(erased=(gone,))
    counting.add(received_at=DAY, user="anna")
    counting.add(received_at=DAY, user="bob", position="a.jsonl:2")
    counting.add(received_at=DAY, position="a.jsonl:3")
    assert counting.counted == 3
    assert [row["position"] for row in counting.rows()] == ["a.jsonl:2", "a.jsonl:3"]


@pytest.mark.parametrize(
    ("text", "user"),
    [
        ('{"request_id": "r", "request": {"model": "m", "user": "cust-0283", "mess', None),
        ('{"id": "r", "userId": "cust-0283", "input"', None),
        ("end_user=cust-0283 broken", None),
        ('{"user": "Mary 0283 Smith", "messages": [', None),
        ('{"request": {"user": "o\'brien.0283", "x": 1}}', "o'brien.0283"),
        ('{"key":"enduser.id","value":{"stringValue":"anna-0283"}},{"key"', None),
        ('{"key": "user.id", "value": {"stringValue": "cust-0283"', None),
        ("cust-0283 said something that is no message", "cust-0283"),
    ],
)
def test_the_name_of_a_user_is_not_kept(make: Make, text: str, user: str | None) -> None:
    turn = make()
    turn.add(text=text, user=user)
    (row,) = turn.rows()
    assert "0283" not in row["excerpt"] and "<USER>" in row["excerpt"]


ESCAPED = "".join(f"\\u{ord(letter):04x}" for letter in "Привет " * 90)
TOKEN = "Bearer eyJhbGciOiJIUzI1NiJ9." + "a" * 330 + ".abc"


@pytest.mark.parametrize(
    "text",
    [
        readable(ESCAPED + " anna.smith@example.org and more" * 9),
        f'{{"token": "{TOKEN}", "card": "4111 1111 1111 1111", "x": "{"y" * 9000}',
    ],
)
def test_no_cut_leaves_half_an_address(make: Make, text: str) -> None:
    turn = make()
    for length in range(300, 700, 7):
        turn.add(text=beginning(text[:length] if length % 2 else text), position=f"a.jsonl:{length}")
    kept = " ".join(row["excerpt"] for row in turn.rows())
    assert "anna.smith@example.org" not in kept and "4111 1111 1111 1111" not in kept
