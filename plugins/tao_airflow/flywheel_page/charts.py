"""The page's charts: what is drawn, the sentence that says the same, and the table beside it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tao_airflow.flywheel_page import formats
from tao_ops.views.records import (
    BenchmarkSeries,
    CalibrationSeries,
    CostPoint,
    Curve,
    Estimate,
    Reliability,
    RewardHistogram,
    RewardPoint,
    VolumePoint,
)


@dataclass(frozen=True)
class Chart:
    """A chart, and the same for who does not see it.

    Attributes:
        key: its name within the page.
        says: the chart in one sentence, its text alternative.
        draws: what ``static/charts.js`` draws.
        columns: of the table; the first names the row.
    """

    key: str
    title: str
    says: str
    draws: dict[str, Any]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def benchmark(series: BenchmarkSeries) -> Chart:
    """Candidate and champion over turns, with 95 % bands and the promotions."""
    points = series.points
    promoted = [point for point in points if point.became_champion]
    says = f"{_over(points)} on {series.name}."
    if points:
        last = points[-1]
        than = f", champion {formats.share(last.champion.value)}" if last.champion else ""
        says = f"{_over(points)}. Last: candidate {formats.share(last.score)}{than}. {_promotions(promoted)}"
    drawn = [
        _line("Candidate", [point.score for point in points], marks=[point.became_champion for point in points]),
        _line("Champion", [point.champion for point in points], band=False, dash=True),
    ]
    if any(point.control for point in points):
        drawn.append(_line("Control", [point.control for point in points], band=False, dash=True))
    rows = tuple(
        (
            formats.turn_name(point.turn),
            formats.share(point.score),
            formats.share(point.champion),
            formats.difference(point.delta),
            formats.number(point.n),
            formats.version_name(point.version) if point.became_champion else "",
        )
        for point in reversed(points)
    )
    return Chart(
        key=f"benchmark-{series.name}",
        title=f"{series.name}: {series.metric}" + (", decides" if series.primary else ""),
        says=says,
        draws={
            "kind": "lines",
            "labels": _turns(points),
            "series": drawn,
            "format": "percent",
            "mark": "became champion",
        },
        columns=("Turn", "Candidate", "Champion", "Difference, points", "Items", "Became champion"),
        rows=rows,
    )


def rewards(points: Sequence[RewardPoint]) -> Chart:
    """The mean reward of each turn."""
    last = f" Last: {formats.decimal(points[-1].mean)}." if points else ""
    return Chart(
        key="rewards",
        title="Mean reward",
        says=f"{_over(points)}.{last}",
        draws={
            "kind": "lines",
            "labels": _turns(points),
            "series": [{"label": "Mean reward", "values": [point.mean for point in points]}],
            "format": "decimal",
            "from": 0,
            "to": 1,
        },
        columns=("Turn", "Mean reward", "Rewarded responses"),
        rows=tuple(
            (formats.turn_name(point.turn), formats.decimal(point.mean), formats.number(point.responses))
            for point in reversed(points)
        ),
    )


def calibration(series: CalibrationSeries) -> Chart:
    """How far a task's rewards could be trusted, over turns."""
    points = series.points
    last = ""
    if points:
        error, labels = formats.error(points[-1].ece), formats.number(points[-1].labels)
        last = f" Last: expected calibration error {error} on {labels} labels."
    return Chart(
        key=f"calibration-{series.task}",
        title=f"Calibration of the reward, {series.task} (lower is better)",
        says=f"{_over(points)}.{last}",
        draws={
            "kind": "lines",
            "labels": _turns(points),
            "series": [
                _line("Calibration error", [point.ece for point in points]),
                {"label": "Error by chance", "values": [point.ece_by_chance for point in points], "dash": True},
                _line("Brier score", [point.brier for point in points], band=False),
            ],
            "format": "decimal",
            "from": 0,
        },
        columns=("Turn", "Calibration error", "By chance", "Brier score", "Labels"),
        rows=tuple(
            (
                formats.turn_name(point.turn),
                formats.error(point.ece),
                formats.decimal(point.ece_by_chance),
                formats.error(point.brier),
                formats.number(point.labels),
            )
            for point in reversed(points)
        ),
    )


def volume(points: Sequence[VolumePoint]) -> Chart:
    """What came in, and what of it went into quarantine."""
    quarantined = [None if point.quarantined is None else sum(point.quarantined.values()) for point in points]
    last = ""
    if points:
        came, kept = formats.number(points[-1].queries), formats.number(points[-1].prompts)
        last = f" Last: {came} queries, {kept} prompts, {formats.number(quarantined[-1])} rows in quarantine."
    return Chart(
        key="volume",
        title="Volume",
        says=f"{_over(points)}.{last}",
        draws={
            "kind": "bars",
            "labels": _turns(points),
            "stacked": True,
            "series": [
                {"label": "Queries", "values": [point.queries for point in points]},
                {"label": "Quarantine", "values": quarantined},
            ],
            "format": "count",
        },
        columns=("Turn", "Logged rows", "Queries", "Prompts", "Quarantine", "Reasons"),
        rows=tuple(
            (
                formats.turn_name(point.turn),
                formats.number(point.rows),
                formats.number(point.queries),
                formats.number(point.prompts),
                formats.number(count),
                _reasons(point),
            )
            for point, count in zip(reversed(points), reversed(quarantined), strict=True)
        ),
    )


def cost(points: Sequence[CostPoint]) -> tuple[Chart, Chart]:
    """Tokens, and minutes of work; each has its own scale."""
    rows = tuple(
        (formats.turn_name(point.turn), formats.number(point.tokens), formats.decimal(point.minutes, 1))
        for point in reversed(points)
    )
    columns = ("Turn", "Tokens", "Minutes of work")

    def chart(key: str, title: str, values: list[float], last: str) -> Chart:
        drawn = {
            "kind": "bars",
            "labels": _turns(points),
            "series": [{"label": title, "values": values}],
            "format": "count",
        }
        return Chart(key, title, f"{_over(points)}.{last}", drawn, columns, rows)

    tokens = f" Last: {formats.number(points[-1].tokens)} tokens." if points else ""
    minutes = f" Last: {formats.decimal(points[-1].minutes, 1)} minutes." if points else ""
    return (
        chart("tokens", "Tokens", [point.tokens for point in points], tokens),
        chart("minutes", "Minutes of work", [point.minutes for point in points], minutes),
    )


def histogram(task: RewardHistogram) -> Chart:
    """How a task's rewards are spread."""
    ranges = [f"{low:.2g}–{high:.2g}" for low, high in zip(task.edges, task.edges[1:], strict=False)]
    without = f" {formats.number(task.without)} have none." if task.without else ""
    return Chart(
        key=f"histogram-{task.task}",
        title=f"Rewards, {task.task}",
        says=f"{formats.number(task.n)} rewarded responses, mean {formats.decimal(task.mean)}.{without}",
        draws={
            "kind": "bars",
            "labels": ranges,
            "touching": True,
            "series": [{"label": "Responses", "values": list(task.counts)}],
            "format": "count",
            "x": "reward",
        },
        columns=("Reward", "Responses"),
        rows=tuple((each, formats.number(count)) for each, count in zip(ranges, task.counts, strict=True)),
    )


def reliability(task: Reliability) -> Chart:
    """What rewards promise against what labels say."""
    shards = f", shards {', '.join(map(str, task.shards))}" if len(task.shards) > 1 else ""
    return Chart(
        key=f"reliability-{task.task}-{'-'.join(map(str, task.shards))}",
        title=f"Reliability, {task.task}{shards}",
        says=f"Calibration error {formats.error(task.ece)} on {formats.number(task.n)} labelled responses; "
        "on the diagonal a reward is the share that is right.",
        draws={
            "kind": "reliability",
            "points": [
                {"x": each.predicted, "y": each.observed.value, "low": each.observed.low, "high": each.observed.high}
                for each in task.bins
            ],
            "x": "predicted",
            "y": "observed",
        },
        columns=("Predicted", "Observed", "Responses"),
        rows=tuple(
            (formats.share(each.predicted), formats.share(each.observed), formats.number(each.n)) for each in task.bins
        ),
    )


def curve(figure: Curve) -> Chart:
    """One figure of the training."""
    thinned = f", {len(figure.steps)} of {figure.total} points" if figure.total > len(figure.steps) else ""
    ends = ""
    if figure.values:
        ends = f"From {figure.values[0]:.4g} to {figure.values[-1]:.4g} over {figure.steps[-1]} updates{thinned}."
    return Chart(
        key=f"curve-{figure.name.replace('/', '-')}",
        title=figure.name,
        says=ends,
        draws={"kind": "curve", "steps": list(figure.steps), "values": list(figure.values), "x": "update"},
        columns=("Update", "Value"),
        rows=tuple((str(step), f"{value:.5g}") for step, value in zip(figure.steps, figure.values, strict=True)),
    )


def _line(
    label: str,
    estimates: Sequence[Estimate | None],
    *,
    band: bool = True,
    dash: bool = False,
    marks: Sequence[bool] | None = None,
) -> dict[str, Any]:
    line: dict[str, Any] = {"label": label, "values": [each.value if each else None for each in estimates]}
    if band and any(each and each.low is not None for each in estimates):
        line["low"] = [each.low if each else None for each in estimates]
        line["high"] = [each.high if each else None for each in estimates]
    if dash:
        line["dash"] = True
    if marks is not None:
        line["marks"] = list(marks)
    return line


def _turns(points: Iterable[Any]) -> list[str]:
    return [formats.turn_name(point.turn) for point in points]


def _over(points: Sequence[Any]) -> str:
    if not points:
        return "No turns"
    if len(points) == 1:
        return f"One turn, {formats.turn_name(points[0].turn)}"
    return f"{len(points)} turns, {formats.turn_name(points[0].turn)} to {formats.turn_name(points[-1].turn)}"


def _promotions(points: Sequence[Any]) -> str:
    if not points:
        return "No promotion."
    return f"{len(points)} promotion{'s' * (len(points) != 1)}, the last in {formats.turn_name(points[-1].turn)}."


def _reasons(point: VolumePoint) -> str:
    found = sorted((point.quarantined or {}).items(), key=lambda each: (-each[1], each[0]))
    return ", ".join(f"{reason} {formats.number(count)}" for reason, count in found)
