"""What the figures must show, each beside what they show."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from trials.quality import controls
from trials.quality.cell import Known, key
from trials.quality.figures import Measured, mean, points, score
from trials.quality.second_task import page
from trials.quality.settings import SEEDS, TURNS

FALL, GOAL, BESIDE_EXAMPLES, BESIDE_LABELS, SHORTER, OF_RANDOM = 0.02, 0.80, 0.10, 0.03, 0.25, 0.5
_SECOND_TASK = "a second task in the same flywheel is lifted without labels in every seed, and `tickets` loses nothing"


@dataclass(frozen=True)
class Claim:
    """A sentence and whether it holds; None where a cell that it needs is missing."""

    text: str
    holds: bool | None
    found: str

    @property
    def verdict(self) -> str:
        """One word for the table."""
        return {True: "holds", False: "**does not hold**", None: "**missing**"}[self.holds]


def claims(known: Mapping[str, Known]) -> list[Claim]:
    """All claims that the kept cells of the parts can be asked about."""
    turns, beside = known["turns"], known["controls"]
    by_turn = {turn: [_after(turns, seed, turn) for seed in SEEDS] for turn in TURNS}
    return [
        _rising(turns, by_turn),
        _no_fall(turns, by_turn),
        _goal(by_turn),
        _beside_examples(turns, by_turn),
        _shorter(beside),
        _beside_labels(by_turn, beside),
        _random(turns, by_turn, beside),
        Claim(_SECOND_TASK, *page.claim(known["second_task"])),
    ]


def _after(turns: Known, seed: int, turn: int) -> float | None:
    """The candidate's score; the champion's before it where the update refused."""
    cell = turns.get(key(seed, str(turn)))
    if cell is not None and "refused" in cell:
        return _before(turns, seed, turn)
    return score(cell)


def _before(turns: Known, seed: int, turn: int) -> float | None:
    found = score(turns.get(key(seed, str(turn))), "champion")
    if found is not None or turn == 1:
        return found
    return _after(turns, seed, turn - 1)


def _first(turns: Known, name: str) -> list[float | None]:
    """An arm of turn one, by seed."""
    return [score(turns.get(key(seed, "1")), name) for seed in SEEDS]


def _rising(turns: Known, by_turn: Mapping[int, Sequence[float | None]]) -> Claim:
    means = [mean(_first(turns, "champion")), *(mean(by_turn[turn]) for turn in TURNS)]
    text = "every turn's mean is above the last one's"
    steps = [m for m in means if m is not None]
    if len(steps) != len(means):
        return Claim(text, None, "")
    rising = all(later > before for before, later in pairwise(steps))
    return Claim(text, rising, " → ".join(points(step) for step in steps))


def _no_fall(turns: Known, by_turn: Mapping[int, Sequence[float | None]]) -> Claim:
    text = f"no seed falls by more than {100 * FALL:.0f} points in any turn"
    changes = []
    for place, seed in enumerate(SEEDS):
        for turn in TURNS:
            before, after = _before(turns, seed, turn), by_turn[turn][place]
            if before is None or after is None:
                return Claim(text, None, "")
            changes.append((after - before, seed, turn))
    worst, seed, turn = min(changes)
    return Claim(text, worst >= -FALL, f"the least change is {100 * worst:+.1f} points, seed {seed} in turn {turn}")


def _goal(by_turn: Mapping[int, Sequence[float | None]]) -> Claim:
    found, text = mean(by_turn[TURNS[-1]]), f"mean exact match after turn three at least {points(GOAL)} %"
    return Claim(text, None, "") if found is None else Claim(text, found >= GOAL, f"{points(found)} %")


def _beside_examples(turns: Known, by_turn: Mapping[int, Sequence[float | None]]) -> Claim:
    text = f"the candidate of turn three beats the untuned model with worked examples by {100 * BESIDE_EXAMPLES:.0f}"
    return _least_difference(f"{text} points", by_turn[TURNS[-1]], _first(turns, "control"), BESIDE_EXAMPLES)


def _shorter(beside: Known) -> Claim:
    text = "its prompt, message and all, is at most a quarter as long, in tokens"
    told = [cell for seed in SEEDS if (cell := beside.get(key(seed, controls.PROMPTS))) is not None]
    if len(told) < len(SEEDS):
        return Claim(text, None, "")
    whole, around = (
        statistics.mean((cell["production"] - without) / (cell["control"] - without) for cell, without in pairs)
        for pairs in ([(cell, 0.0) for cell in told], [(cell, cell["message"]) for cell in told])
    )
    return Claim(text, whole <= SHORTER, f"{points(whole)} % of it; {points(around)} % without the message")


def _beside_labels(by_turn: Mapping[int, Sequence[float | None]], beside: Known) -> Claim:
    text = f"the candidate of turn three is within {100 * BESIDE_LABELS:.0f} points of training with labels, or above"
    taught = [score(beside.get(key(seed, controls.GOLD_THREE))) for seed in SEEDS]
    return _least_difference(text, by_turn[TURNS[-1]], taught, -BESIDE_LABELS)


def _random(turns: Known, by_turn: Mapping[int, Sequence[float | None]], beside: Known) -> Claim:
    """Likewise: at least half as far above the champion."""
    text = "random rewards do not lift it likewise: less than half as far, on turn one"
    cells: list[Measured | None] = [beside.get(key(seed, controls.RANDOM)) for seed in SEEDS]
    champion = _first(turns, "champion")
    drawn = [
        before if cell is not None and "refused" in cell else score(cell)
        for cell, before in zip(cells, champion, strict=True)
    ]
    lifts = [_minus(mean(values), mean(champion)) for values in (drawn, by_turn[1])]
    if lifts[0] is None or lifts[1] is None:
        return Claim(text, None, "")
    said = f"{100 * lifts[0]:+.1f} points, with the rewards as they are {100 * lifts[1]:+.1f}"
    return Claim(text, lifts[0] < OF_RANDOM * lifts[1], said)


def _least_difference(text: str, after: Sequence[float | None], before: Sequence[float | None], least: float) -> Claim:
    found = _minus(mean(after), mean(before))
    if found is None:
        return Claim(text, None, "")
    return Claim(text, found >= least, f"{100 * found:+.1f} points, mean of {len(SEEDS)} seeds")


def _minus(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other
