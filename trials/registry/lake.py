"""Turns that have been evaluated: stub models of a few bytes, and the scores of each in a small lake."""

import math
import random
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tao_ops.config import Flywheel
from tao_ops.files import write_json
from tao_ops.lake import open_lake
from tao_ops.models import model_digest
from tao_ops.settings import Settings
from tao_ops.stages import Run
from tao_ops.tables import EVALUATIONS
from tao_ops.turn import Turn

ITEMS = 200
BASE_RIGHT = 60
FACTS = {"architecture": "Tiny", "parameters": 1000, "dtype": "BF16"}
TRAINED = {"method": "raft", "hyperparameters": {}, "rows": 1, "metrics": {}}
_FILES = {
    "config.json": '{"architectures": ["Tiny"]}',
    "tokenizer.json": "{}",
    "tokenizer_config.json": '{"chat_template": "x"}',
}


@dataclass(frozen=True)
class Evaluated:
    """A turn that only has to end: its run, its candidate's model_version, and how many items that has right."""

    run: Run
    candidate: str
    right: int


def evaluated(home: Path, url: str, flywheel: str, *, turns: int, seed: int) -> list[Evaluated]:
    """So many turns of consecutive days, each with a candidate judged against the base model.

    One in three is no better than the base; of the others the later to end must beat the earlier.
    """
    settings = Settings(home, home / "cache", str(home / "lake"), url, home / "include", "k")
    rng, config = random.Random(seed), small_flywheel(flywheel)
    rights = [
        BASE_RIGHT - 10 + rng.randrange(20) if rng.random() < 1 / 3 else rng.randrange(80, 190) for _ in range(turns)
    ]
    return [_evaluated(config, settings, url, day, right, rng) for day, right in enumerate(rights)]


def _evaluated(flywheel: Flywheel, settings: Settings, url: str, day: int, right: int, rng: random.Random) -> Evaluated:
    start = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day)
    turn, lake = Turn(flywheel.name, start, start + timedelta(days=1)), open_lake(settings.lake)
    run = Run(flywheel, turn, f"run-{day}", lake, settings, url)
    folder = lake.artifacts(turn, run.run_id)
    model = folder / "candidate"
    model.mkdir(parents=True)
    for name, text in {**_FILES, "model.safetensors": f"weights of {day}"}.items():
        (model / name).write_text(text, encoding="utf-8")
    candidate = {"model_version": model_digest(model), "path": str(model), **FACTS}
    base = {"model_version": "base", "path": "", **FACTS, "version": 0}
    scores = {"champion": _scores(BASE_RIGHT, random.Random(0)), "candidate": _scores(right, rng)}
    manifest = {**candidate, **TRAINED, "seed": day, "base": {"version": 0, "model_version": "base"}}
    write_json(model / "manifest.json", manifest)
    store(run, base, manifest, {arm: {f"i{n:03}": s for n, s in enumerate(each)} for arm, each in scores.items()})
    return Evaluated(run, str(candidate["model_version"]), right)


def store(
    run: Run,
    champion: Mapping[str, Any],
    manifest: Mapping[str, Any],
    scores: Mapping[str, Mapping[str, float]],
    *,
    engine: str = "stored",
) -> None:
    """Leave behind what ``update`` and ``evaluate`` do: the candidate's manifest, all scores, the report.

    Args:
        champion: model_version, path, architecture, parameters, dtype and version.
        manifest: the candidate's.
        scores: of ``champion`` and ``candidate``, by item of the flywheel's first benchmark.
    """
    folder = run.lake.artifacts(run.turn, run.run_id)
    candidate = {name: manifest[name] for name in ("model_version", "path", *FACTS)}
    ((task, told),) = run.flywheel.tasks.items()
    benchmark = {"benchmark": told.benchmarks[0].name, "benchmark_version": "v1"}
    by = {"prompt_digest": "prompt", "decoding_digest": "greedy", "engine": engine, "output": ""}
    rows = [
        {**by, **benchmark, "arm": arm, "model_version": model["model_version"], "item_id": item, "score": score}
        for arm, model in (("champion", champion), ("candidate", candidate))
        for item, score in scores[arm].items()
    ]
    run.lake.write(EVALUATIONS, rows, turn=run.turn, run_id=run.run_id)
    write_json(folder / "candidate.json", dict(manifest))
    means = {arm: _mean(each.values()) for arm, each in scores.items()}
    line = {"name": benchmark["benchmark"], "version": "v1", "task": task, "metric": "exact_json", "primary": True}
    figures = {"control": None, **means, "delta": means["candidate"] - means["champion"], "p_value": None}
    report = {
        "flywheel": run.flywheel.name,
        "turn": run.turn.key,
        "run_id": run.run_id,
        "champion": dict(champion),
        "candidate": {**candidate, "version": None},
        "prompt_digests": {task: "prompt"},
        "decoding_digests": {task: "greedy"},
        "engine": engine,
        "benchmarks": [{**line, "n": len(scores["candidate"]), **figures}],
    }
    write_json(folder / "report.json", report)


def _mean(scores: Collection[float]) -> float:
    return sum(score for score in scores if not math.isnan(score)) / len(scores)


def small_flywheel(name: str, benchmark: str = "exam") -> Flywheel:
    """A flywheel of one task and one benchmark; the files that it names are not there."""
    task = {
        "prompt": "p.txt",
        "expectations": "e.json",
        "strategies": [{"name": "plain", "samples": 1}],
        "scorers": [{"name": "json_schema", "keys": ["city"]}],
        "benchmarks": [{"name": benchmark, "path": "b", "primary": True}],
    }
    rest = {"sources": [{"path": "x"}], "evaluate": {"control": None}}
    return Flywheel.model_validate({"name": name, "tasks": {"tickets": task}, **rest})


def _scores(right: int, rng: random.Random) -> list[float]:
    scores = [1.0] * right + [0.0] * (ITEMS - right)
    rng.shuffle(scores)
    return scores
