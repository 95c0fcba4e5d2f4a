"""``report.md``: what a person who approves a promotion reads; made of facts alone, and short."""

from collections.abc import Mapping, Sequence
from typing import Any

from tao_ops.figures import percent, points
from tao_ops.markdown import bullets, table

_FEW = 12
"""Slices that are shown, the worst first."""
_FIGURES = {"auroc": "AUROC", "brier": "Brier", "ece": "ECE", "labels": "labels", "mean": "mean reward"}
_SHARES = ("empty", "truncated", "repeated")


def page(
    report: Mapping[str, Any],
    verdict: Mapping[str, Any],
    candidate: Mapping[str, Any],
    *,
    counts: Mapping[str, int],
    rewards: Mapping[str, float],
) -> str:
    """The report as Markdown.

    Args:
        report: ``report.json``.
        verdict: ``verdict.json``.
        candidate: the candidate's manifest.
        counts: rows of the turn, by what they are.
        rewards: figures of the turn's rewards, ``reward.<task>.<figure>``.
    """
    sections = [
        _head(report, verdict),
        _benchmarks(report["benchmarks"]),
        _slices(report["benchmarks"]),
        _outputs(report["benchmarks"]),
        _models(report),
        _rewards(rewards),
        _data(candidate, counts),
        _method(candidate),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _head(report: Mapping[str, Any], verdict: Mapping[str, Any]) -> str:
    champion = _version(report["champion"])
    waits = " It waits for an approval." if verdict["approval"] == "pending" else ""
    test = (
        f"Candidate `{report['candidate']['model_version']}` against the champion, {champion}: the month's test "
        f"{verdict['test']} of this champion, at level {verdict['level']:.2g}.{waits}"
    )
    title = f"# {report['flywheel']}, turn {report['turn']}: {verdict['decision']}"
    return f"{title}\n\n{test}\n\n{bullets(verdict['reasons'])}"


def _version(champion: Mapping[str, Any]) -> str:
    name = "the base model" if champion["version"] == 0 else f"version {champion['version']}"
    return f"{name} (`{champion['model_version']}`)"


def _benchmarks(lines: Sequence[Mapping[str, Any]]) -> str:
    head = ("benchmark", "items", "champion", "control", "candidate", "difference, points [95 %]", "p")
    rows = [
        (
            f"{line['name']} ({line['metric']}{', primary' if line['primary'] else ''})",
            f"{line['n']:,}",
            *(percent(line.get(arm)) for arm in ("champion", "control", "candidate")),
            points(line["delta"], line.get("ci_low"), line.get("ci_high")),
            "–" if line.get("p_value") is None else f"{line['p_value']:.2g}",
        )
        for line in lines
    ]
    note = "p values are not corrected for several benchmarks here; the verdict's are."
    return "\n\n".join(["## Benchmarks", table(head, rows), *([note] if len(lines) > 1 else [])])


def _slices(lines: Sequence[Mapping[str, Any]]) -> str:
    every = [(line["name"], one) for line in lines for one in line.get("slices", ())]
    if not every:
        return ""
    every.sort(key=lambda named: float(named[1]["delta"]))
    rows = [
        (
            f"{name}, {one['slice']}",
            f"{one['n']:,}",
            percent(one["champion"]),
            percent(one["candidate"]),
            points(one["delta"], one.get("ci_low"), one.get("ci_high")),
        )
        for name, one in every[:_FEW]
    ]
    shown = table(("slice", "items", "champion", "candidate", "difference, points [95 %]"), rows)
    more = [f"{len(every) - _FEW} more, at or above the last one shown."] if len(every) > _FEW else []
    return "\n\n".join(["## Slices, the worst first", shown, *more])


def _outputs(lines: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        (
            line["name"],
            arm,
            f"{one['tokens']:.1f}",
            *(percent(one[flag]) for flag in _SHARES),
            "–" if one["reward"] is None else f"{one['reward']:.3f}",
        )
        for line in lines
        for arm, one in line.get("outputs", {}).items()
        if one is not None
    ]
    head = ("benchmark", "arm", "tokens", *_SHARES, "mean reward")
    return f"## Outputs\n\n{table(head, rows)}" if rows else ""


def _models(report: Mapping[str, Any]) -> str:
    paces = report.get("seconds_a_token", {})
    rows = [
        (
            arm,
            report[arm]["architecture"],
            f"{report[arm]['parameters']:,}",
            report[arm]["dtype"],
            "–" if paces.get(arm) is None else f"{1000 * paces[arm]:.2f}",
        )
        for arm in ("champion", "candidate")
    ]
    shown = table(("model", "architecture", "parameters", "dtype", "ms a token"), rows)
    found = report.get("contaminated")
    known = [] if found is None else [f"Benchmark items among the rows that it was trained on: {found:,}."]
    fallen = [
        (one["task"], one["scorer"], one["probe"], f"{percent(one['share'])} of {one['comparisons']:,}", one["turn"])
        for one in report.get("fallen", ())
    ]
    head = ("task", "scorer of the reward", "probe that it fell for", "comparisons", "turn")
    return "\n\n".join(["## Guards", shown, *known, *([table(head, fallen)] if fallen else [])])


def _rewards(rewards: Mapping[str, float]) -> str:
    tasks: dict[str, dict[str, float]] = {}
    for name, value in rewards.items():
        task, figure = name.removeprefix("reward.").rsplit(".", 1)
        tasks.setdefault(task, {})[figure] = value
    rows = [
        (task, *("–" if figure not in one else f"{one[figure]:,.3g}" for figure in _FIGURES))
        for task, one in tasks.items()
    ]
    return f"## Rewards\n\n{table(('task', *_FIGURES.values()), rows)}" if rows else ""


def _data(candidate: Mapping[str, Any], counts: Mapping[str, int]) -> str:
    told = dict(counts)
    if (queries := candidate["metrics"].get("queries")) is not None:
        told["queries trained on"] = queries
    told["rows trained on"] = candidate["rows"]
    lines = [f"- {name}: {count:,}" for name, count in told.items()]
    turns = candidate.get("lineage", {}).get("turns", ())
    of = [f"- turns trained on: {', '.join(turns)}"] if turns else []
    return "\n".join(["## Data", "", *lines, *of])


def _method(candidate: Mapping[str, Any]) -> str:
    version = candidate["base"]["version"]
    base = "the base model" if version == 0 else f"version {version}"
    chosen = candidate["hyperparameters"]
    # GRPO has a rate of its own, and no epochs.
    names = ("lora_rank",) if candidate["method"] == "grpo" else ("epochs", "learning_rate", "lora_rank")
    told = [f"{name} {chosen[name]:g}" for name in names if name in chosen]
    steps = candidate["metrics"].get("kept_step")
    kept = "" if steps is None else f", step {steps:,} of {candidate['metrics']['steps']:,} kept"
    return f"## Method\n\n{', '.join([candidate['method'], *told])}; from {base}{kept}; seed {candidate['seed']}."
