"""The curves of a run's training, from the figures that it left as it went."""

from pathlib import Path

from tao_ops.errors import DataError
from tao_ops.lake import Lake
from tao_ops.turn import path_safe
from tao_ops.updating import journal
from tao_ops.views.records import Curve

MOST = 500
"""Points of a curve that are shown."""


def folder(lake: Lake, flywheel: str, turn: str, run_id: str) -> Path | None:
    """Where a run's artifacts are, whether or not there are any; None where the lake has no folder for them."""
    if "://" in lake.root:
        return None
    return Path(lake.root, "artifacts", flywheel, path_safe(turn), path_safe(run_id))


def curves(run: Path | None) -> tuple[tuple[Curve, ...], str | None]:
    """The curves of ``training.jsonl``, or why there are none."""
    if run is None:
        return (), "the lake is no folder: it keeps no figures of a training"
    try:
        lines = journal.read(run)
    except DataError as error:
        return (), str(error)
    series: dict[str, list[tuple[int, float]]] = {}
    for point in journal.points(lines):
        series.setdefault(point.name, []).append((point.step, point.value))
    found = tuple(_curve(name, points) for name, points in series.items())
    return found, None if found else "no figures of the training are left"


def _curve(name: str, points: list[tuple[int, float]]) -> Curve:
    each = -(-len(points) // MOST)
    # Counted from the end, so that the last one is there.
    shown = points[::-1][::each][::-1]
    return Curve(name, tuple(step for step, _ in shown), tuple(value for _, value in shown), len(points))
