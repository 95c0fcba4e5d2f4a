"""What the page tells of the second task; what was not measured is told as missing."""

from collections.abc import Mapping, Sequence
from typing import Any

from trials.quality.cell import Known, key
from trials.quality.figures import MISSING, Measured, arm, gain, points, table
from trials.quality.second_task import BENCHMARKS, EXPLORATION, JOINT, flywheel, questions
from trials.quality.settings import FLYWHEEL, SEEDS
from trials.quality.tables import commits

_FALL = 0.02
"""The gate's tolerance: what the first task may lose."""


def told(known: Known, turns: Known) -> list[str]:
    """The part of the page: both tasks by seed, what the update was given, and what exploration finds.

    Args:
        known: the measured cells of this part.
        turns: those of the three turns, whose first is the example alone.
    """
    why = questions.missing() if len(known) <= len(SEEDS) else None
    return [
        "## A second task",
        "",
        f"`make results ONLY=second_task`: `{questions.TASK}` beside `tickets` in one flywheel, turn one from the base "
        f"model. {flywheel.PER_DAY} questions of Banking77's a day, without their intents; {questions.ITEMS} of its "
        "test set are the benchmark. The production prompt names none of the 77 intents. Exploration shows them with "
        "one labelled question each, which is all that it knows of labels, and ranks them by the words that they share "
        "with the question; a closed set and consensus score what it finds.",
        "",
        *([f"Not all of it can be measured here: {why}.", ""] if why is not None else []),
        *table(_HEAD, [row for seed in SEEDS for row in _benchmarks(seed, known, turns)]),
        "",
        "The control has all intents and their examples in its prompt. *Alone* is the candidate of `tickets` without "
        "the second task, from the same logs.",
        "",
        "What the update was given, and how many of the second task's picks are right by the hidden intents:",
        "",
        *table(_GIVEN, [_given(seed, known.get(key(seed, JOINT))) for seed in SEEDS]),
        "",
        *_exploration(known.get(key(SEEDS[0], EXPLORATION))),
        *commits(known),
    ]


_HEAD = ["seed", "benchmark", "n", "champion", "control", "candidate", "difference", "alone", "verdict"]
_GIVEN = ["seed", "intents: queries, share of training", "picks right", "intents named", "tickets: queries, share", "s"]


def claim(known: Known) -> tuple[bool | None, str]:
    """Whether, in every seed, the second task rises beyond chance and the first loses no more than the gate allows."""
    mine = [known.get(key(seed, JOINT)) for seed in SEEDS]
    if any(cell is None for cell in mine):
        return None, ""
    if any(cell is not None and "refused" in cell for cell in mine):
        return False, "an update refused"
    lines = [[cell["benchmarks"][name] for cell in mine if cell is not None] for name in BENCHMARKS]
    second, first = lines
    holds = all(line["ci_low"] > 0.0 for line in second) and all(line["delta"] >= -_FALL for line in first)
    return holds, "; ".join(f"{line[0]['name']} {_changes(line)}" for line in lines)


def _changes(lines: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(f"{100 * line['delta']:+.1f}" for line in lines) + " points"


def _benchmarks(seed: int, known: Known, turns: Known) -> list[list[str]]:
    cell = known.get(key(seed, JOINT))
    if cell is None:
        return [[str(seed), *[MISSING] * (len(_HEAD) - 1)]]
    if "refused" in cell:
        return [[str(seed), *["–"] * (len(_HEAD) - 2), f"update refused: {cell['refused']}"]]
    rows = []
    for name in BENCHMARKS:
        one = {"benchmark": cell["benchmarks"][name]}
        alone = arm(turns.get(key(seed, "1"))) if name == FLYWHEEL else "–"
        arms = [arm(one, which) for which in ("champion", "control", "candidate")]
        said = [f"`{name}`", str(one["benchmark"]["n"]), *arms, gain(one), alone, cell["verdict"]["decision"]]
        rows.append([str(seed), *said])
    return rows


def _given(seed: int, cell: Measured | None) -> list[str]:
    if cell is None or "refused" in cell:
        return [str(seed), *[MISSING if cell is None else "–"] * (len(_GIVEN) - 1)]
    trained, tasks = cell["trained"], cell["tasks"]
    shares = {name: f"{one['queries']}, {points(one['share'])} %" for name, one in tasks.items()}
    return [
        str(seed),
        shares[questions.TASK],
        _of(trained["right"], trained["rows"]),
        str(trained["intents"]),
        shares[FLYWHEEL],
        f"{sum(cell['seconds'].values()):.0f}",
    ]


def _exploration(cell: Measured | None) -> list[str]:
    if cell is None:
        return [f"What exploration finds: {MISSING}."]
    near = [
        f"`{name}` shows the right intent for {points(one['shown'])} % of the exam's questions and puts it next to the "
        f"question for {points(one['first'])} %"
        for name, one in cell["nearest"].items()
    ]
    tries = [f"{n}: {points(share)} %" for n, share in cell["right_of_n"].items() if share is not None]
    strategies = [
        [f"`{name}`", str(one["responses"]), *(points(one[share]) for share in ("labels", "right", "found"))]
        for name, one in cell["strategies"].items()
    ]
    votes = [
        [f"{100 * row['share']:.0f} %", str(row["queries"]), f"{row['right']} ({_share(row['right'], row['queries'])})"]
        for row in cell["by_vote"]
    ]
    return [
        f"What exploration finds, on {cell['queries']} questions with each strategy asked equally often; right is by "
        "the hidden intents, in per cent:",
        "",
        *table(["strategy", "responses", "an intent", "right", "queries with a right one"], strategies),
        "",
        f"At least one of n responses is right: {', '.join(tries)}. Without any model, {'; '.join(near)}.",
        "",
        *table(["share of the votes at least", "queries", "of them right"], votes),
    ]


def _of(right: int, every: int) -> str:
    return f"{right} of {every} ({_share(right, every)})"


def _share(right: int, every: int) -> str:
    return f"{points(right / every)} %" if every else "–"
