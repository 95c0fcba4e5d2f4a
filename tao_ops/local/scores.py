"""Tables of what ``evaluate`` measured and what the gate's rule made of it."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from tao_ops.figures import percent, points

_DECISIONS = {"promote": "green", "reject": "red", "undecided": "yellow"}
_ARMS = {
    "champion": "champion before",
    "control": "control: champion, worked examples in its prompt",
    "candidate": "candidate",
}
_FEW = 8
"""Slices that are shown, the worst first."""


def print_scores(benchmarks: Sequence[Mapping[str, Any]], console: Console) -> None:
    """Each benchmark with its slices, then what the guards look at."""
    for row in benchmarks:
        console.print()
        console.print(benchmark_table(row))
        if row.get("slices"):
            console.print(slices_table(row))
    if any(row.get("outputs") for row in benchmarks):
        console.print()
        console.print(outputs_table(benchmarks))


def print_verdict(verdict: Mapping[str, Any], console: Console) -> None:
    """The decision, its reasons, and the findings behind them where there are several."""
    decision = str(verdict["decision"])
    waits = ", waits for an approval" if verdict.get("approval") == "pending" else ""
    console.print(f"verdict: [{_DECISIONS.get(decision, 'bold')} bold]{decision}[/]{waits}")
    for reason in verdict["reasons"]:
        console.print(f"  {reason}", markup=False, highlight=False, soft_wrap=True)
    if len(verdict.get("findings") or ()) > 1:
        console.print(findings_table(verdict["findings"]))


def benchmark_table(row: Mapping[str, Any]) -> Table:
    """One benchmark: each arm's score, the candidate's lead over the champion, and their 95 % intervals."""
    secondary = "" if row.get("primary") else ", secondary"
    title = f"{row['name']} ({row['metric']}, n = {row['n']:,}{secondary})"
    table = Table(title, *(number(name) for name in ("score", "95 % interval")), box=None, pad_edge=False)
    for arm, label in _ARMS.items():
        table.add_row(label, percent(row.get(arm)), _interval(row.get(f"{arm}_low"), row.get(f"{arm}_high"), "{:.1f}"))
    p = "" if row.get("p_value") is None else f" (p = {row['p_value']:.2g})"
    table.add_row(
        f"candidate's lead, in points{p}",
        f"{points(row.get('delta'))}  ",
        _interval(row.get("ci_low"), row.get("ci_high"), "{:+.1f}"),
        style="bold",
    )
    return table


def slices_table(row: Mapping[str, Any]) -> Table:
    """The slices of one benchmark in which the candidate leads least, in points with 95 % intervals."""
    every = sorted(row["slices"], key=lambda one: float(one["delta"]))
    columns = ("n", "champion", "candidate", "lead", "95 % interval")
    table = Table(f"{row['name']}, slices", *(number(name) for name in columns), box=None, pad_edge=False)
    for one in every[:_FEW]:
        table.add_row(
            Text(one["slice"]),
            f"{one['n']:,}",
            percent(one["champion"]),
            percent(one["candidate"]),
            points(one["delta"]),
            _interval(one["ci_low"], one["ci_high"], "{:+.1f}"),
        )
    if len(every) > _FEW:
        table.add_row(f"and {len(every) - _FEW} more, at or above the last one shown")
    return table


def outputs_table(benchmarks: Sequence[Mapping[str, Any]]) -> Table:
    """What the gate's guards look at: mean tokens and reward of the outputs, and the shares with each flag."""
    flags = ("empty", "truncated", "repeated")
    table = Table("outputs", *(number(name) for name in ("tokens", *flags, "reward")), box=None, pad_edge=False)
    for row in benchmarks:
        for arm, one in (row.get("outputs") or {}).items():
            if one is not None:
                reward = "–" if one["reward"] is None else f"{one['reward']:.2f}"
                shares = (percent(one[flag]) for flag in flags)
                table.add_row(f"{row['name']}, {arm}", f"{one['tokens']:.1f}", *shares, reward)
    return table


def findings_table(findings: Sequence[Mapping[str, Any]]) -> Table:
    """What each benchmark and slice says to a promotion, at the gate's own level, p values corrected."""
    columns = ("n", "lead", "p", "level", "says")
    table = Table("  findings", *(number(name) for name in columns), box=None, pad_edge=False)
    # Whole benchmarks first, then the slices that speak against it, the worst first.
    order = sorted(findings, key=lambda one: (bool(one["slice"]), one["decision"] == "promote", float(one["delta"])))
    whole = sum(not one["slice"] for one in findings)
    for one in order[: whole + _FEW]:
        name = f"  {one['benchmark']}{', ' * bool(one['slice'])}{one['slice']}"
        figures = (f"{one['n']:,}", points(one["delta"]), f"{one['corrected_p']:.2g}", f"{one['level']:.2g}")
        table.add_row(Text(name), *figures, Text(one["decision"], _DECISIONS.get(one["decision"], "bold")))
    return table


def number(name: str) -> Column:
    """A column of figures."""
    return Column(name, justify="right", no_wrap=True)


def _interval(low: float | None, high: float | None, form: str) -> str:
    if low is None or high is None:
        return "–"
    return f"{form.format(100 * low)} to {form.format(100 * high)}"
