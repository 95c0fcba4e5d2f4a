"""How good the example's rewards are against the truth, which they never see: ranking and calibration.

One pool of responses is sampled from the untuned model, as ``generate`` samples them, and kept in the cache. It is
scored without any label; and again by a calibrator that was fitted to the pools of thirty queries, ten draws of them,
and judged on the others.
"""

import hashlib
import json
import random
import statistics
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tao_ops import backends, exploration
from tao_ops.answers import strict_object
from tao_ops.champions import base_model
from tao_ops.config import Flywheel, load_flywheel
from tao_ops.example.benchmark import development_items
from tao_ops.exploration import Budget, Rule, Uniform
from tao_ops.files import replaced
from tao_ops.models import model_ref
from tao_ops.records import Candidate, Prompt
from tao_ops.rewards import Scored, Setting, TaskScorers
from tao_ops.rewards.calibration import CalibrationReport, Case, fit, picture, report
from tao_ops.scoring.calibrating import scorer_names
from tao_ops.settings import PROJECT, Settings
from trials.record import Cells

SEED, QUERIES, ANCHORS, DRAWS = 11, 150, 30, 10
AUROC, ECE = 0.99, 0.05
TASK = "tickets"
PICTURE = PROJECT / "docs" / "images" / "reliability.png"


def run() -> bool:
    """Measure, unless this commit's cell is known; true where both goals are reached without a label."""
    cells = Cells("example_rewards")
    if not cells.known(SEED):
        cells.keep(SEED, _measure(), _outcome)
    print(f"example_rewards: {_outcome(cells.cells)}")
    return all(_holds(cell) for cell in cells.cells.values())


def _measure() -> dict[str, Any]:
    settings = Settings.from_env()
    flywheel = load_flywheel(TASK, settings)
    pool = _pool(flywheel, settings)
    task = flywheel.tasks[TASK]
    scorers = TaskScorers(task.scorers, Setting(flywheel.file(""), task.json_schema))
    batch = [Candidate(row["query_id"], row["query"], row["answer"], row["strategy"]) for row in pool]
    scored, right = scorers.score(batch), [row["right"] for row in pool]
    names = scorer_names(task.scorers)
    told = _report(batch, scored, right, [one.reward for one in scored], names)
    picture.draw(told, PICTURE, task=f"{TASK}, no label")
    anchored = [_with_anchors(flywheel, batch, scored, right, draw) for draw in range(DRAWS)]
    good = [
        label for one, label in zip(scored, right, strict=True) if (one.reward or 0.0) >= flywheel.update.min_reward
    ]
    return {
        "queries": len({candidate.query_id for candidate in batch}),
        "responses": len(batch),
        "right": sum(right),
        "without_labels": told.as_dict(),
        "passed": {"n": len(good), "right": sum(good), "min_reward": flywheel.update.min_reward},
        "anchors": {
            "queries": ANCHORS,
            "draws": DRAWS,
            **{
                name: {"median": statistics.median(values), "low": min(values), "high": max(values)}
                for name, values in (
                    ("auroc", [one.auroc.value for one in anchored if one.auroc]),
                    ("ece", [one.ece.value for one in anchored if one.ece]),
                )
            },
        },
    }


def _with_anchors(
    flywheel: Flywheel, batch: Sequence[Candidate], scored: Sequence[Scored], right: Sequence[bool], draw: int
) -> CalibrationReport:
    """The report on all other queries of a calibrator that was fitted to thirty queries' labelled pools."""
    task = flywheel.tasks[TASK]
    names, config = scorer_names(task.scorers), task.calibration
    queries = sorted({candidate.query_id for candidate in batch})
    chosen = set(random.Random(draw).sample(queries, ANCHORS))
    rows = list(zip(batch, scored, right, strict=True))
    cases = [
        Case(candidate.query_id, one.scores, float(label), "anchor")
        for candidate, one, label in rows
        if candidate.query_id in chosen and not one.vetoed
    ]
    found = fit(cases, names=names, least=config.least, isotonic=config.isotonic, seed=SEED)
    if isinstance(found, str):
        raise RuntimeError(found)
    others = [row for row in rows if row[0].query_id not in chosen]
    values = [0.0 if one.vetoed else found.probability(one.scores) for _, one, _ in others]
    return _report([c for c, _, _ in others], [s for _, s, _ in others], [y for _, _, y in others], values, names)


def _report(
    batch: Sequence[Candidate],
    scored: Sequence[Scored],
    right: Sequence[bool],
    values: Sequence[float | None],
    names: Sequence[str],
) -> CalibrationReport:
    cases = [
        Case(candidate.query_id, one.scores, float(label), "anchor")
        for candidate, one, label in zip(batch, scored, right, strict=True)
    ]
    return report(cases, values, names=names, seed=SEED)


def _pool(flywheel: Flywheel, settings: Settings) -> list[dict[str, Any]]:
    """Responses of every strategy to messages made like the logs', each with whether it is right."""
    items = development_items(SEED, QUERIES)
    prompts = [Prompt(item["item_id"], TASK, tuple(item["messages"])) for item in items]  # type: ignore[arg-type]
    prompts.sort(key=lambda prompt: (-len(prompt.text), prompt.text))
    explored = exploration.explored(flywheel, TASK, seed=SEED)
    model = model_ref(base_model(flywheel, settings))
    told = [model.model_version, backends.engine_name(), [way.strategy.version for way in explored.ways]]
    told.append([way.config.model_dump(mode="json") for way in explored.ways])
    told.append([list(prompt.messages) for prompt in prompts])
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]
    path = settings.cache / "trials" / f"example-rewards-{digest}.jsonl"
    if not path.is_file():
        _sample(prompts, explored, model, path)
    references = {item["item_id"]: item["reference"] for item in items}
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    return [{**row, "right": strict_object(row["answer"]) == references[row["query_id"]]} for row in rows]


def _sample(prompts: Sequence[Prompt], explored: exploration.Explored, model: Any, path: Path) -> None:
    found = exploration.explore(
        prompts,
        {TASK: explored},
        sampled=partial(exploration.sample, backends.start_engine(model, seed=SEED, say=print)),
        policy=Uniform(),
        budget=Budget(),
        rule=Rule(0.9, 0.6),
        say=print,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with replaced(path) as part:
        part.write_text("".join(json.dumps(_row(response)) + "\n" for response in found.responses), encoding="utf-8")


def _row(response: exploration.Response) -> dict[str, Any]:
    prompt = response.wanted.prompt
    return {
        "query_id": prompt.query_id,
        "query": prompt.text,
        "strategy": response.wanted.way.name,
        "sample": response.wanted.sample,
        "answer": response.answer,
        "tokens": response.tokens,
    }


def _holds(cell: dict[str, Any]) -> bool:
    told = cell["without_labels"]
    return bool(told["auroc"]["value"] >= AUROC and told["ece"]["value"] < ECE)


def _outcome(cells: dict[str, dict[str, Any]]) -> str:
    (cell,) = cells.values()
    told, anchored = cell["without_labels"], cell["anchors"]
    auroc, ece = told["auroc"], told["ece"]
    return (
        f"{cell['responses']} responses, {cell['right']} right; without labels AUROC {auroc['value']:.4f} "
        f"[{auroc['low']:.4f}, {auroc['high']:.4f}] (goal {AUROC}), ECE {ece['value']:.4f} [{ece['low']:.4f}, "
        f"{ece['high']:.4f}] (goal below {ECE}); with {ANCHORS} queries' labels AUROC "
        f"{anchored['auroc']['median']:.4f}, ECE {anchored['ece']['median']:.4f} (medians of {DRAWS} draws)"
    )
