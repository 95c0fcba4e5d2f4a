"""One flywheel at a glance, and the list of its turns."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

from tao_ops.errors import ConfigError, RegistryError
from tao_ops.lake import Lake
from tao_ops.views import history, paging
from tao_ops.views.figures import Figures
from tao_ops.views.history import History
from tao_ops.views.records import (
    BenchmarkPoint,
    BenchmarkSeries,
    CalibrationPoint,
    CalibrationSeries,
    Champion,
    Overview,
    Page,
    TurnLine,
)
from tao_ops.views.releases import Standing, standing

VERDICTS = 5
"""Turns whose verdicts are told in words."""
MOST = 1000
"""Turns that a series may show."""


def flywheels(lake: Lake) -> tuple[str, ...]:
    """The names of the flywheels that the lake has turns of."""
    return history.flywheels(lake)


def turns(lake: Lake, flywheel: str, *, page: int = 1, size: int = 50) -> Page[TurnLine]:
    """A flywheel's turns, newest first.

    Raises:
        ConfigError: there can be no such page.
        DataError: the lake has no turn of the flywheel.
    """
    paging.check(page, size)
    known = History(lake, flywheel)
    keys = known.turns[::-1]
    lines = tuple(one.line for one in known.figures(paging.cut(keys, page, size)))
    return Page(lines, page, size, len(keys))


def keys(lake: Lake, flywheel: str) -> list[str]:
    """The keys of all of a flywheel's turns, newest first; none of them is read.

    Raises:
        DataError: the lake has no turn of the flywheel.
    """
    return History(lake, flywheel).turns[::-1]


def overview(lake: Lake, database_url: str, flywheel: str, *, last: int = 30) -> Overview:
    """A flywheel at a glance; without a registry all but the champion.

    Args:
        last: turns that the series show.

    Raises:
        ConfigError: ``last`` is too few or too many.
        DataError: the lake has no turn of the flywheel.
    """
    if not 1 <= last <= MOST:
        raise ConfigError(f"{last} turns", where="last", mend=f"ask for 1 to {MOST}")
    with ThreadPoolExecutor(1) as beside:
        asked = beside.submit(_standing, database_url, flywheel)
        known = History(lake, flywheel)
        keys = known.turns
        found = known.figures(keys[-last:])
        stands, missing = asked.result()
    return Overview(
        flywheel=flywheel,
        champion=None if stands is None else _champion(known, stands),
        champion_missing=missing,
        turns=len(keys),
        shown=len(found),
        verdicts=tuple(one.line for one in reversed(known.figures(keys[-VERDICTS:]))),
        benchmarks=_benchmarks(found, set() if stands is None else stands.champions),
        rewards=tuple(one.reward for one in found if one.reward is not None),
        calibration=_calibration(found),
        volume=tuple(one.volume for one in found),
        cost=tuple(one.cost for one in found if one.cost is not None),
    )


def _standing(database_url: str, flywheel: str) -> tuple[Standing | None, str | None]:
    """How the flywheel stands in the registry, or why that is not known: the rest is worth showing all the same."""
    try:
        return standing(database_url, flywheel), None
    except RegistryError as error:
        return None, str(error)


def _champion(known: History, stands: Standing) -> Champion:
    made = stands.release(stands.champion)
    there = made.turn is not None and made.turn in known.turns
    one = next(iter(known.figures([made.turn])), None) if there and made.turn is not None else None
    # A later run of its turn has made another model.
    same = one is not None and (one.line.run_id, one.line.version) == (made.run_id, made.version)
    return stands.shown(one.model_version if same and one is not None else None, datetime.now(UTC))


def _benchmarks(found: Sequence[Figures], champions: set[int]) -> tuple[BenchmarkSeries, ...]:
    """A series for each benchmark, under the metric and the rank that it had last."""
    points: dict[str, list[BenchmarkPoint]] = {}
    last: dict[str, tuple[str, bool]] = {}
    for one in found:
        for line in one.benchmarks:
            became = line.point.version in champions
            points.setdefault(line.name, []).append(replace(line.point, became_champion=became))
            last[line.name] = (line.metric, line.primary)
    series = [BenchmarkSeries(name, *last[name], tuple(each)) for name, each in points.items()]
    return tuple(sorted(series, key=lambda one: (not one.primary, one.name)))


def _calibration(found: Sequence[Figures]) -> tuple[CalibrationSeries, ...]:
    points: dict[str, list[CalibrationPoint]] = {}
    for one in found:
        for task, point in one.calibration.items():
            points.setdefault(task, []).append(point)
    return tuple(CalibrationSeries(task, tuple(each)) for task, each in sorted(points.items()))
