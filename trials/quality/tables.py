"""The tables of the page, one function a part; what was not measured is told as missing."""

import json
from collections.abc import Sequence

from trials.quality import ablations, controls
from trials.quality.cell import Known, key
from trials.quality.figures import MISSING, Measured, arm, at, difference, gain, mean_of, mean_points, table
from trials.quality.settings import METHODS, SAMPLES, SEEDS, STARTS, TURNS, flywheel_settings, update_of


def of_turns(known: Known) -> list[str]:
    """Each seed and turn, what the stages took, and the picture."""
    method = flywheel_settings(SEEDS[0]).get("update", {}).get("method", "raft")
    rows = [_turn_row(known.get(key(seed, str(turn))), seed, turn) for seed in SEEDS for turn in TURNS]
    head = [
        *("seed", "turn", "n", "champion", "candidate", "difference", "verdict"),
        *("queries", "tokens sampled", "update, s", "turn, s"),
    ]
    means = [
        [f"mean after turn {turn}", mean_points([known.get(key(seed, str(turn))) for seed in SEEDS])] for turn in TURNS
    ]
    return [
        "## Three turns",
        "",
        f"`make results ONLY=turns`: the whole chain on three consecutive days, by `include/flywheels/tickets.yaml` as "
        f"it stands (`{method}`). Queries are those that were trained on.",
        "",
        *table(head, rows),
        "",
        *table(["", "candidate"], means),
        "",
        *(["![score by turn](images/turns.png)", ""] if any("benchmark" in cell for cell in known.values()) else []),
        "Seconds of each stage:",
        "",
        *_stage_seconds(known),
        *commits(known),
    ]


def _turn_row(cell: Measured | None, seed: int, turn: int) -> list[str]:
    if cell is None:
        return [str(seed), str(turn), *[MISSING] * 9]
    verdict = f"update refused: {cell['refused']}" if "refused" in cell else at(cell, "verdict", "decision")
    return [
        str(seed),
        str(turn),
        str(at(cell, "benchmark", "n") or "–"),
        arm(cell, "champion"),
        arm(cell),
        gain(cell),
        str(verdict),
        str(cell.get("rows", "–")),
        f"{cell['tokens']:,}",
        f"{cell['seconds']['update']:.0f}",
        f"{cell['wall_seconds']:.0f}",
    ]


def _stage_seconds(known: Known) -> list[str]:
    stages = ("ingest", "validate", "generate", "score", "update", "evaluate", "gate", "register")
    rows = []
    for turn in TURNS:
        mine = [known.get(key(seed, str(turn))) for seed in SEEDS]
        rows.append([str(turn), *(mean_of(mine, "seconds", stage) for stage in stages), mean_of(mine, "wall_seconds")])
    return table(["turn, mean of seeds", *stages, "all"], rows)


def of_controls(turns: Known, known: Known) -> list[str]:
    """Champion, candidates and controls on the same items."""
    first, last = str(TURNS[0]), str(TURNS[-1])
    arms: list[tuple[str, Known, str, str]] = [
        ("untuned model, production prompt", turns, first, "champion"),
        ("untuned model, worked examples in its prompt", turns, first, "control"),
        ("after turn one, no label", turns, first, "candidate"),
        ("after turn three, no label", turns, last, "candidate"),
        ("supervised, gold labels of turn one's prompts", known, controls.GOLD_ONE, "candidate"),
        ("supervised, gold labels of three turns' prompts", known, controls.GOLD_THREE, "candidate"),
        ("turn one's update on random rewards", known, controls.RANDOM, "candidate"),
    ]
    rows = []
    for said, where, name, which in arms:
        mine = [where.get(key(seed, name)) for seed in SEEDS]
        trained = which == "candidate"
        rows.append(
            [
                said,
                *(arm(cell, which) for cell in mine),
                mean_points(mine, which),
                mean_of(mine, "seconds", "update") if trained else "–",
                mean_of(mine, "rows") if trained else "–",
            ]
        )
    return [
        "## Controls",
        "",
        "`make results ONLY=controls` (and `ONLY=turns`): the same items, the same greedy decoding. Supervised "
        "training is `raft`'s on the right answer to every training prompt, from the base model. Random rewards are "
        "turn one's, each handed to another response; nothing is measured on the holdout then, which knows the true "
        "ones, and the last checkpoint is kept.",
        "",
        *table(["", *(f"seed {seed}" for seed in SEEDS), "mean", "update, s", "queries"], rows),
        "",
        "Paired differences on the same items, in points:",
        "",
        *table(["", *(f"seed {seed}" for seed in SEEDS)], _paired(turns, known)),
        "",
        *_prompts(known),
        *_refusals(known),
        *commits(known),
    ]


def _paired(turns: Known, known: Known) -> list[list[str]]:
    first, last = str(TURNS[0]), str(TURNS[-1])
    pairs: list[tuple[str, tuple[Known, str, str], tuple[Known, str, str]]] = [
        ("turn three − worked examples", (turns, first, "control"), (turns, last, "candidate")),
        ("turn one − gold labels, one turn", (known, controls.GOLD_ONE, "candidate"), (turns, first, "candidate")),
        (
            "turn three − gold labels, three turns",
            (known, controls.GOLD_THREE, "candidate"),
            (turns, last, "candidate"),
        ),
        ("turn one − random rewards", (known, controls.RANDOM, "candidate"), (turns, first, "candidate")),
    ]
    return [[said, *(_pair(seed, before, after) for seed in SEEDS)] for said, before, after in pairs]


def _pair(seed: int, before: tuple[Known, str, str], after: tuple[Known, str, str]) -> str:
    cells = [(known.get(key(seed, name)), which) for known, name, which in (before, after)]
    if any(cell is None for cell, _ in cells):
        return MISSING
    marks = [at(cell, "answers", which) for cell, which in cells if cell is not None]
    return difference(marks[0], marks[1], seed) if all(marks) else "–"


def _prompts(known: Known) -> list[str]:
    mine = [known.get(key(seed, controls.PROMPTS)) for seed in SEEDS]
    if any(cell is None for cell in mine):
        return [f"Length of the prompts: {MISSING}."]
    return [
        f"Mean tokens of what the model reads for an item: {mean_of(mine, 'production', digits=1)} under the "
        f"production prompt, {mean_of(mine, 'control', digits=1)} with worked examples."
    ]


def of_methods(known: Known) -> list[str]:
    """Each method on turn one, and the two starts of turn three."""
    rows = []
    for name in METHODS:
        mine = [known.get(key(seed, name)) for seed in SEEDS]
        rows.append([f"`{name}`", *_trained(mine)])
    starts = [[f"from {name}", *_trained([known.get(key(seed, name)) for seed in SEEDS])] for name in STARTS]
    head = ["method", *_TRAINED]
    own = {name: json.dumps({k: v for k, v in update_of(name).items() if k != "method"}) for name in METHODS}
    return [
        "## Methods",
        "",
        "`make results ONLY=methods`: turn one from the same stored responses, only `update` differs. The lift is over "
        "the untuned model.",
        "",
        *table(head, rows),
        "",
        "Their settings:",
        "",
        *table(["method", "`update`"], [[f"`{name}`", f"`{told}`"] for name, told in own.items()]),
        "",
        "Turn three, from the champion of turn two on this turn's responses, or from the base on those of three turns; "
        "the lift is over that champion:",
        "",
        *table(["start", *_TRAINED], starts),
        *_refusals(known),
        *commits(known),
    ]


_TRAINED = [*(f"seed {seed}" for seed in SEEDS), "mean", "lift", "update, s", "training, s", "peak, MiB", "queries"]


def _trained(mine: Sequence[Measured | None]) -> list[str]:
    return [
        *(arm(cell) for cell in mine),
        mean_points(mine),
        mean_points(mine, "delta"),
        mean_of(mine, "seconds", "update"),
        mean_of(mine, "update", "seconds"),
        mean_of(mine, "update", "peak_mib"),
        mean_of(mine, "rows"),
    ]


def of_ablations(turns: Known, known: Known) -> list[str]:
    """Turn one with a part left out."""
    named: list[tuple[str, Known, str]] = [("the flywheel as it is", turns, "1")]
    named += [(name, known, name) for name in (ablations.PLAIN, ablations.NO_CONSENSUS)]
    named += [(ablations.of_samples(n), known, ablations.of_samples(n)) for n in SAMPLES]
    rows = []
    for said, where, name in named:
        mine = [where.get(key(seed, name)) for seed in SEEDS]
        told = [said, *(arm(cell) for cell in mine), mean_points(mine)]
        rows.append([*told, mean_of(mine, "rows"), mean_of(mine, "tokens"), mean_of(mine, "seconds", "update")])
    rows.insert(3, ["without calibration", "as the flywheel is", *["–"] * (len(SEEDS) + 3)])
    head = ["turn one", *(f"seed {seed}" for seed in SEEDS), "mean", "queries", "tokens sampled", "update, s"]
    return [
        "## Ablations",
        "",
        "`make results ONLY=ablations`. Without exploration: the production prompt alone, sampled as often. Without "
        "consensus: the same responses, scored by schema and grounding. The last rows sample every query alike, with "
        "worked examples, and keep the first n of a pool of sixteen, scored among themselves. The example's rewards "
        "are never calibrated, having no labels: without calibration is how it is ([rewards](rewards.md)).",
        "",
        *table(head, rows),
        *_refusals(known),
        *commits(known),
    ]


def _refusals(known: Known) -> list[str]:
    told = {name: cell["refused"] for name, cell in sorted(known.items()) if "refused" in cell}
    return ["", "Where the update refused:", "", *(f"- {name}: {why}" for name, why in told.items())] if told else []


def commits(known: Known) -> list[str]:
    """The commits that the cells were measured at."""
    by_commit: dict[str, list[str]] = {}
    for name, cell in sorted(known.items()):
        by_commit.setdefault(cell["commit"], []).append(name)
    said = "; ".join(f"`{commit}` ({', '.join(names)})" for commit, names in sorted(by_commit.items()))
    return ["", f"Measured at the commits: {said}."] if said else ["", "No cell was measured."]
