"""What came of a turn, as tables: printed from what ``tao turn show --json`` tells."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tao_ops.figures import percent
from tao_ops.local.scores import number, print_scores, print_verdict


def print_turn(
    shown: Mapping[str, Any],
    console: Console | None = None,
    *,
    wall_seconds: float | None = None,
    places: Mapping[str, str] | None = None,
) -> None:
    """Print stages, exploration, rewards, training, scores, verdict and release of a turn.

    Args:
        shown: the interface of ``tao turn show --json``.
        wall_seconds: of the whole run; what no stage took of it is shown too.
        places: further lines, a label and where to look.
    """
    console = console or Console()
    console.print()
    console.print(f"[bold]{shown['flywheel']}[/bold], turn [bold]{shown['turn']}[/bold]")
    if shown["stages"]:
        console.print(stages_table(shown["stages"], wall_seconds))
    if exploration := shown.get("exploration"):
        console.print()
        console.print(exploration_table(exploration))
    if rewards := shown.get("rewards"):
        console.print()
        console.print(rewards_table(rewards))
        for line in rewards_lines(rewards):
            console.print(line, soft_wrap=True)
    if update := shown.get("update"):
        console.print()
        console.print(update_table(update))
        for method, one in update.items():
            if one["stopped"]:
                console.print(Text(f"{method} stopped early: {one['stopped']}", "yellow"), soft_wrap=True)
    print_scores((shown.get("report") or {}).get("benchmarks", []), console)
    if verdict := shown.get("verdict"):
        print_verdict(verdict, console)
    if release := shown.get("release"):
        alias = f", alias {release['alias']}" if release.get("alias") else ""
        console.print(f"registered: {release['model']} version {release['version']}{alias}", markup=False)
    for label, place in (places or {}).items():
        console.print(f"{label}: {place}", markup=False, highlight=False, soft_wrap=True)


def stages_table(stages: Mapping[str, Mapping[str, Any]], wall_seconds: float | None = None) -> Table:
    """Rows in, rows out and seconds of every stage."""
    table = Table("stage", *(number(name) for name in ("rows in", "rows out", "seconds")), box=None, pad_edge=False)
    for name, stage in stages.items():
        table.add_row(name, f"{stage['rows_in']:,}", f"{stage['rows_out']:,}", f"{stage['seconds']:.1f}")
    if wall_seconds is not None:
        own = sum(float(stage["seconds"]) for stage in stages.values())
        table.add_row("no stage's", "", "", f"{max(0.0, wall_seconds - own):.1f}", style="dim")
        table.add_row("in all", "", "", f"{wall_seconds:.1f}", style="bold")
    return table


def exploration_table(tasks: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Table:
    """What each strategy cost and found."""
    figures = ("samples", "tokens", "passed", "tokens a pass")
    table = Table("exploration", *(number(name) for name in figures), box=None, pad_edge=False)
    for task, strategies in tasks.items():
        for name, one in strategies.items():
            each = "–" if one["tokens_a_pass"] is None else f"{one['tokens_a_pass']:,.0f}"
            rate = percent(one["pass_rate"])
            table.add_row(f"{task}/{name}", f"{one['samples']:,.0f}", f"{one['tokens']:,.0f}", rate, each)
    return table


_FEW = 4
"""More calibrators than this are not shown one by one."""
_FIGURES = {"auroc": "AUROC", "brier": "Brier", "ece": "ECE"}


def rewards_table(tasks: Mapping[str, Mapping[str, Any]]) -> Table:
    """How far each task's rewards can be trusted, on the labels that there are, with 95 % intervals.

    Of a task with many calibrators, one a shard, the lowest and highest figures are shown.
    """
    columns = (number(name) for name in ("labels", *(f"{name} [95 %]" for name in _FIGURES.values())))
    table = Table("rewards", *columns, box=None, pad_edge=False)
    for task, one in tasks.items():
        every = one["calibrations"]
        if len(every) > _FEW:
            figures = [_span([c[name]["value"] for c in every if c[name]], "{:.2f}") for name in _FIGURES]
            table.add_row(f"{task}, {one['shards']} shards", _span([c["n"] for c in every], "{:,}"), *figures)
            continue
        for c in every:
            figures = [_estimate(c[name]) for name in _FIGURES]
            table.add_row(f"{task}{_among(c['shards'], one['shards'])}", f"{c['n']:,}", *figures)
    return table


def rewards_lines(tasks: Mapping[str, Mapping[str, Any]]) -> list[Text]:
    """What the rewards are made by, whom not to trust, and what scorers could not decide; a line each."""
    lines: list[Text] = []
    for task, one in tasks.items():
        every, of = one["calibrations"], one["shards"]
        if len(every) > _FEW:
            lines.append(Text(f"{task}: {len(every)} calibrations, see: tao turn show --json"))
        else:
            lines += [Text(f"{task}{_among(c['shards'], of)}: {_made_by(c)}") for c in every]
        for scorer in {**one["fell_for"], **one["barred"]}:
            kinds, shards = ", ".join(one["fell_for"].get(scorer, [])), one["barred"].get(scorer)
            barred = f"; barred from these rewards{_among(shards, of)}" if shards else ""
            lines.append(Text(f"{task}/{scorer} fell for probes: {kinds}{barred}", "yellow"))
        for found in one["monitors"]:
            told = f"{task}{_among(found['shards'], of)}: {found['level']}: {found['sentence']}"
            lines.append(Text(told, "red" if found["level"] == "fail" else "yellow"))
        for scorer, reasons in one["undecided"].items():
            lines.append(Text(f"{task}/{scorer} could not decide {_counted(reasons)}"))
    return lines


def _made_by(calibration: Mapping[str, Any]) -> str:
    what = "calibrator" if calibration["calibrated"] else "combined by rule"
    return f"{what} {calibration['version']}, {calibration['reason']}"


def _among(shards: Sequence[int], of: int) -> str:
    """Which shards, where it is not all of them."""
    if len(shards) == of:
        return ""
    more = f" and {len(shards) - _FEW} more" if len(shards) > _FEW else ""
    return f" (shard{'s' * (len(shards) > 1)} {', '.join(map(str, shards[:_FEW]))}{more})"


def _counted(reasons: Mapping[str, int]) -> str:
    """``12: no reference``; of several reasons, how often each."""
    each = reasons if len(reasons) == 1 else [f"{reason} {count:,}" for reason, count in reasons.items()]
    return f"{sum(reasons.values()):,}: {', '.join(each)}"


def _estimate(told: Mapping[str, float] | None) -> str:
    return "–" if told is None else f"{told['value']:.2f} [{told['low']:.2f}, {told['high']:.2f}]"


def _span(values: Sequence[float], form: str) -> str:
    if not values:
        return "–"
    low, high = form.format(min(values)), form.format(max(values))
    return low if low == high else f"{low} to {high}"


_MEASURED = {
    "reward": ("reward", "{:.2f}"),
    "kl": ("divergence", "{:.2f}"),
    "entropy": ("entropy", "{:.3f}"),
    "length": ("tokens", "{:.0f}"),
}


def update_table(methods: Mapping[str, Mapping[str, Any]]) -> Table:
    """How each method's training went: the loss from first to last, the holdout from before to what was kept.

    Divergence (from the champion) and entropy are nats per token, tokens those of an answer.
    """
    columns = (number(name) for name in ("kept step", "loss", *(label for label, _ in _MEASURED.values())))
    table = Table("update", *columns, box=None, pad_edge=False)
    for method, one in methods.items():
        loss = _change(one["loss"]["first"], one["loss"]["last"], "{:.2f}")
        measured = [
            "–" if one[name] is None else _change(one[name]["first"], one[name]["kept"], form)
            for name, (_, form) in _MEASURED.items()
        ]
        steps = "–" if one["kept_step"] is None else f"{one['kept_step']:,} of {one['steps']:,}"
        table.add_row(method, steps, loss, *measured)
    return table


def _change(before: float | None, after: float | None, form: str) -> str:
    return " → ".join("–" if value is None else form.format(value) for value in (before, after))


def closing_remark(shown: Mapping[str, Any], *, champion_was_tuned: bool) -> str | None:
    """A word on a verdict that looks like a failure and is none."""
    if champion_was_tuned and decision_of(shown) == "undecided":
        return (
            "The champion was a tuned model already. That one more turn over the same queries cannot be told apart "
            "from it is normal: the champion stays."
        )
    return None


def decision_of(shown: Mapping[str, Any]) -> str | None:
    """The gate's decision, where it has made one."""
    decision: str | None = (shown.get("verdict") or {}).get("decision")
    return decision
