"""Champion and candidate side by side, on the benchmark items whose score changed."""

import math
from collections.abc import Mapping
from typing import Any

from tao_ops.errors import DataError
from tao_ops.lake import Lake
from tao_ops.tables import EVALUATIONS
from tao_ops.views import paging
from tao_ops.views.history import check_turn
from tao_ops.views.records import ChangedItem, ItemAnswer, Page

_ARMS = ("champion", "candidate")


def changes(lake: Lake, flywheel: str, turn: str, run_id: str) -> dict[str, int]:
    """On how many items of each benchmark the score changed, of those whose scores this run has stored."""
    columns = ["benchmark", "arm", "item_id", "score"]
    where: dict[str, Any] = {"flywheel": flywheel, "turn": turn, "run_id": run_id, "arm": _ARMS}
    scores: dict[str, dict[str, dict[str, float | None]]] = {}
    for row in lake.read(EVALUATIONS, columns=columns, **where).to_pylist():
        scores.setdefault(row["benchmark"], {}).setdefault(row["item_id"], {})[row["arm"]] = row["score"]
    return {name: sum(_change(each) is not None for each in items.values()) for name, items in scores.items()}


def changed_items(
    lake: Lake, flywheel: str, turn: str, benchmark: str, *, page: int = 1, size: int = 20
) -> Page[ChangedItem]:
    """The items of a benchmark whose score changed from champion to candidate, the worst change first.

    Raises:
        ConfigError: there can be no such page.
        DataError: the turn has stored no scores of the benchmark.
    """
    paging.check(page, size)
    where: dict[str, Any] = {"flywheel": flywheel, "turn": turn, "benchmark": benchmark, "arm": _ARMS}
    scores = lake.read(EVALUATIONS, columns=["arm", "item_id", "score"], **where).to_pylist()
    if not scores:
        raise _no_scores(lake, flywheel, turn, benchmark)
    by_item: dict[str, dict[str, float | None]] = {}
    for row in scores:
        by_item.setdefault(row["item_id"], {})[row["arm"]] = row["score"]
    moved = sorted((change, item) for item, each in by_item.items() if (change := _change(each)) is not None)
    chosen = paging.cut(moved, page, size)
    answers = _answers(lake, where, [item for _, item in chosen])
    shown = tuple(ChangedItem(item, change, *(answers[item, arm] for arm in _ARMS)) for change, item in chosen)
    return Page(shown, page, size, len(moved))


def _change(scores: Mapping[str, float | None]) -> float | None:
    """Candidate minus champion; None where they are the same, or one of them is not known."""
    champion, candidate = (scores.get(arm) for arm in _ARMS)
    if champion is None or candidate is None or not math.isfinite(candidate - champion):
        return None
    return candidate - champion or None


def _answers(lake: Lake, where: Mapping[str, Any], items: list[str]) -> dict[tuple[str, str], ItemAnswer]:
    columns = ["arm", "item_id", "model_version", "score", "output", "tokens", "flags", "reward"]
    rows = lake.read(EVALUATIONS, columns=columns, item_id=items, **where).to_pylist() if items else []
    return {
        (row["item_id"], row["arm"]): ItemAnswer(
            row["model_version"], row["score"], row["output"], row["tokens"], tuple(row["flags"] or ()), row["reward"]
        )
        for row in rows
    }


def _no_scores(lake: Lake, flywheel: str, turn: str, benchmark: str) -> DataError:
    found = lake.read(EVALUATIONS, columns=["benchmark"], flywheel=flywheel, turn=turn)
    known = sorted(set(found.column("benchmark").to_pylist()))
    if not known:
        check_turn(lake, flywheel, turn)
    return DataError(
        f"turn {turn} of {flywheel} has no scores on benchmark {benchmark!r}",
        where=lake.root,
        mend=f"it has those of {', '.join(known)}" if known else "run evaluate first",
    )
