"""Turns that have been evaluated: stub models of a few bytes, and the scores of each in a small lake."""

import random
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
_FACTS = {"architecture": "Tiny", "parameters": 1000, "dtype": "BF16"}
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
    rng, config = random.Random(seed), _flywheel(flywheel)
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
    candidate = {"model_version": model_digest(model), "path": str(model), **_FACTS}
    base = {"model_version": "base", "path": "", **_FACTS, "version": 0}
    answers = {"champion": _scores(BASE_RIGHT, random.Random(0)), "candidate": _scores(right, rng)}
    versions = {"champion": "base", "candidate": candidate["model_version"]}
    rows = [
        {**_row(number, score), "arm": arm, "model_version": versions[arm]}
        for arm, scores in answers.items()
        for number, score in enumerate(scores)
    ]
    lake.write(EVALUATIONS, rows, turn=turn, run_id=run.run_id)
    trained = {"method": "raft", "hyperparameters": {}, "rows": 1, "seed": day, "metrics": {}}
    manifest = {**candidate, **trained, "base": {"version": 0, "model_version": "base"}}
    for path in (folder / "candidate.json", model / "manifest.json"):
        write_json(path, manifest)
    report = {
        "flywheel": flywheel.name,
        "turn": turn.key,
        "run_id": run.run_id,
        "champion": base,
        "candidate": {**candidate, "version": None},
        "prompt_digests": {"tickets": "prompt"},
        "decoding_digests": {"tickets": "greedy"},
        "engine": "stored",
        "benchmarks": [_line(right)],
    }
    write_json(folder / "report.json", report)
    return Evaluated(run, str(candidate["model_version"]), right)


def _scores(right: int, rng: random.Random) -> list[float]:
    scores = [1.0] * right + [0.0] * (ITEMS - right)
    rng.shuffle(scores)
    return scores


def _row(number: int, score: float) -> dict[str, Any]:
    told = {"prompt_digest": "prompt", "decoding_digest": "greedy", "engine": "stored", "output": ""}
    return {**told, "benchmark": "exam", "benchmark_version": "v1", "item_id": f"i{number:03}", "score": score}


def _line(right: int) -> dict[str, Any]:
    what = {"name": "exam", "version": "v1", "task": "tickets", "metric": "exact_json", "primary": True, "n": ITEMS}
    means = {"champion": BASE_RIGHT / ITEMS, "control": None, "candidate": right / ITEMS}
    return {**what, **means, "delta": (right - BASE_RIGHT) / ITEMS, "p_value": None}


def _flywheel(name: str) -> Flywheel:
    task = {
        "prompt": "p.txt",
        "expectations": "e.json",
        "strategies": [{"name": "plain", "samples": 1}],
        "scorers": [{"name": "json_schema", "keys": ["city"]}],
        "benchmarks": [{"name": "exam", "path": "b", "primary": True}],
    }
    rest = {"sources": [{"path": "x"}], "evaluate": {"control": None}}
    return Flywheel.model_validate({"name": name, "tasks": {"tickets": task}, **rest})
