"""What a turn asks of the lake, each as a function that says how many seconds it took."""

import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.scale.history import FLYWHEEL, LATENESS_DAYS, commit_file, stage_rows, turn
from tao_ops import upkeep
from tao_ops.lake import Lake
from tao_ops.tables import QUERIES, REWARDS, TURNS

COMMITS = 10
"""Commits in a row; their mean is told. The log gets a checkpoint every ten commits: one is among them."""

LOOKS = 5
"""The quickest of so many looks in a row is told: what another process takes away is not the lake's."""

ALL_STAGES = "which turns ran `ingest`, by the rows of `turns`"
BY_ROWS, BY_LOG = "which turns hold rewards, by their rows", "which turns hold rewards, by the log"
HELD = "what other turns hold of the last days, for `ingest`"
GROWS = {ALL_STAGES, BY_ROWS, BY_LOG}
"""Asked of all turns: they grow with them."""

Look = Callable[[], float]


def of(lake: Lake, turns: int) -> dict[str, Look]:
    """By figure, a look at a lake of so many turns; the commits replace the newest turn, time and again."""
    newest, key = turns - 1, turn(turns - 1).key
    one = {"flywheel": FLYWHEEL, "turn": key}
    since = turn(turns - 1 - LATENESS_DAYS).start.isoformat()
    held = f"flywheel = '{FLYWHEEL}' and turn <> '{key}' and received_at >= '{since}'"
    columns = ["source", "request_id", "received_at", "feedback", "corrected"]
    (row,) = (each for each in stage_rows(newest) if each["stage"] == "gate")
    file = _file_of(lake, newest)

    def commit_queries() -> None:
        for _ in range(COMMITS):
            commit_file(lake, QUERIES, newest, file)

    def commit_stage() -> None:
        for _ in range(COMMITS):
            lake.write(TURNS, [row], turn=turn(newest), run_id="again", stage="gate", shard=0)

    return {
        "commit of a turn's queries": _mean(commit_queries),
        "commit of what a stage tells": _mean(commit_stage),
        "plan: a turn that is not there, of `queries`": _timed(lambda: lake.read(QUERIES, turn="none")),
        "plan: a turn that is not there, of `turns`": _timed(lambda: lake.read(TURNS, turn="none")),
        "read of a turn's queries": _timed(lambda: lake.read(QUERIES, columns=["query_id", "task", "messages"], **one)),
        "read of what its stages tell": _timed(lambda: lake.read(TURNS, **one)),
        ALL_STAGES: _timed(lambda: lake.read(TURNS, columns=["turn"], flywheel=FLYWHEEL, stage="ingest")),
        BY_ROWS: _timed(lambda: lake.read(REWARDS, columns=["turn"], flywheel=FLYWHEEL).column("turn").unique()),
        BY_LOG: _timed(lambda: upkeep.turns(lake, REWARDS, FLYWHEEL)),
        HELD: _timed(lambda: sum(len(batch) for batch in lake.scan(QUERIES, columns, held))),
    }


def _file_of(lake: Lake, day: int) -> tuple[Path, int]:
    """The file of a turn's queries, and its rows."""
    folder = Path(lake.uri(QUERIES)) / f"flywheel={FLYWHEEL}" / f"turn={turn(day).key.replace(':', '-')}"
    (path,) = folder.glob("*.parquet")
    return path, lake.count(QUERIES, flywheel=FLYWHEEL, turn=turn(day).key)


def _mean(act: Callable[[], object]) -> Look:
    """Seconds of one of :data:`COMMITS` commits."""
    return lambda: seconds(act) / COMMITS


def _timed(act: Callable[[], object]) -> Look:
    return lambda: min(seconds(act) for _ in range(LOOKS))


def seconds(act: Callable[[], object]) -> float:
    """How long it takes."""
    began = time.perf_counter()
    act()
    return time.perf_counter() - began
