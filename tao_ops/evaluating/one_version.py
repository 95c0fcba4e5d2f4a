"""Any version on any benchmark, outside a turn: asked and scored as in ``evaluate``, and nothing follows from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from tao_ops import backends, champions
from tao_ops.benchmarks import paired
from tao_ops.config import BenchmarkConfig, BenchmarkFormat, Flywheel
from tao_ops.errors import ConfigError, DataError, LakeError
from tao_ops.evaluating import comparing
from tao_ops.evaluating.answering import Asker
from tao_ops.evaluating.exams import CANDIDATE, Arms, Exam, decoding_digest, exams, see_unchanged, stored
from tao_ops.evaluating.one_engine import OneEngine
from tao_ops.files import write_json
from tao_ops.lake import Lake
from tao_ops.models import model_ref
from tao_ops.records import ModelRef, Progress
from tao_ops.registry import BASE, Registry
from tao_ops.registry.answers import see_files
from tao_ops.scoring.models import scoring_models
from tao_ops.settings import Settings
from tao_ops.turn import last_complete_turn

FOLDER = "evaluations"
"""Of a flywheel's artifacts: the reports that belong to no turn."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """Where scores, versions and models are."""

    lake: Lake
    registry: Registry
    url: str
    settings: Settings
    say: Progress


def narrowed(flywheel: Flywheel, names: Sequence[str], limit: int | None) -> Flywheel:
    """The flywheel with those benchmarks alone, all where none is named, each of its first ``limit`` items.

    Raises:
        ConfigError: it has no such benchmark.
    """
    known = [benchmark.name for task in flywheel.tasks.values() for benchmark in task.benchmarks]
    for name in names:
        if name not in known:
            raise ConfigError(
                f"there is no benchmark {name!r}", where=flywheel.name, mend=f"its benchmarks: {', '.join(known)}"
            )
    tasks = {}
    for task, config in flywheel.tasks.items():
        mine = tuple(_shortened(one, limit) for one in config.benchmarks if not names or one.name in names)
        if mine:
            tasks[task] = config.model_copy(update={"benchmarks": mine})
    return flywheel.model_copy(
        update={"tasks": tasks, "evaluate": flywheel.evaluate.model_copy(update={"control": None})}
    )


def find_model(flywheel: Flywheel, version: int | None, place: Place) -> ModelRef:
    """The model of a version; of None the champion's, of 0 the base model.

    Raises:
        DataError: there is no such version.
        ModelError: its folder is not the model that was registered, or its weights are deleted.
        RegistryError: the registry cannot be reached.
    """
    if version is None:
        return champions.champion(flywheel, place.url, place.settings, place.say)
    if version == BASE:
        return model_ref(champions.base_model(flywheel, place.settings, place.say), BASE)
    one = next((each for each in place.registry.versions(flywheel.name) if each.version == version), None)
    if one is None:
        raise DataError(
            f"there is no version {version} of {flywheel.name}",
            where=flywheel.name,
            mend=f"tao registry list {flywheel.name} tells which there are",
        )
    see_files(place.registry, flywheel.name, one)
    assert one.model_version is not None  # see_files has just computed the same
    return ModelRef(one.path, one.model_version, version)


def evaluate(flywheel: Flywheel, model: ModelRef, place: Place, *, now: datetime) -> dict[str, Any]:
    """Score ``model`` on every benchmark of ``flywheel``; scores that a turn has stored are taken from there.

    No table is written, and the champion stays. A ``holdout`` has no score of one model alone: there it meets the
    champion, over the prompts up to the last complete turn.

    Raises:
        ConfigError: a benchmark cannot be read, or the champion itself is to be judged on a holdout.
        DataError: a score is no number from 0 to 1, a judge gave too few verdicts, or a benchmark changed meanwhile.
        EngineError: the engine failed.
    """
    against = _opponent(flywheel, model, place)
    turn = last_complete_turn(flywheel.name, schedule=flywheel.schedule, timezone=flywheel.timezone, now=now)
    every = exams(flywheel, place.lake, turn, Arms(against or model, model))
    mine = [exam for exam in every if exam.arm == CANDIDATE]
    name, engine = backends.engine_name(), OneEngine(lambda one: _start(flywheel, one, place))
    known = {exam.benchmark.name: _known(place.lake, flywheel.name, exam, name) for exam in mine}
    missing = [_named(exam) for exam in every if not known[exam.benchmark.name] and (exam.is_duel or exam in mine)]
    for exam in mine:
        if rows := known[exam.benchmark.name]:
            place.say(f"{_told(model)} on {exam.benchmark.name}: {len(rows)} scores are stored already")
    models = scoring_models(flywheel, place.url, place.settings, place.say)
    asked = Asker(flywheel, engine, models, place.say).ask(missing).rows
    see_unchanged(flywheel, mine)
    lines = []
    for exam in mine:
        rows = known[exam.benchmark.name] or _of(asked, exam)
        lines.append(_line(exam, rows, reused=bool(known[exam.benchmark.name]), against=against))
    return {
        "flywheel": flywheel.name,
        "version": model.version,
        "model_version": model.model_version,
        "engine": name,
        "at": now.isoformat(timespec="seconds"),
        "benchmarks": lines,
    }


def keep(report: Mapping[str, Any], lake: Lake, *, now: datetime) -> Path:
    """Write a report among the flywheel's artifacts; returns its file.

    Raises:
        LakeError: the lake is no folder.
    """
    if "://" in lake.root:
        raise LakeError("artifacts need a local folder", where=lake.root, mend="set TAO_LAKE to a folder")
    folder = Path(lake.root) / "artifacts" / str(report["flywheel"]) / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"version-{report['version']}-{now:%Y%m%dT%H%M%S%fZ}.json"
    write_json(path, report)
    return path


def _shortened(benchmark: BenchmarkConfig, limit: int | None) -> BenchmarkConfig:
    if limit is None or (benchmark.limit is not None and benchmark.limit <= limit):
        return benchmark
    return benchmark.model_copy(update={"limit": limit})


def _opponent(flywheel: Flywheel, model: ModelRef, place: Place) -> ModelRef | None:
    """The champion, where a benchmark compares with it; a broken champion is no hindrance to the others."""
    duels = [
        one.name for task in flywheel.tasks.values() for one in task.benchmarks if one.format is BenchmarkFormat.HOLDOUT
    ]
    if not duels:
        return None
    champion = champions.champion(flywheel, place.url, place.settings, place.say)
    if champion.model_version == model.model_version:
        raise ConfigError(
            f"benchmark {duels[0]} compares a version with the champion, which this one is",
            where=flywheel.name,
            mend="name another version, or another benchmark",
        )
    return champion


def _start(flywheel: Flywheel, model: ModelRef, place: Place) -> backends.Engine:
    return backends.start_engine(model, seed=flywheel.seed, say=place.say, config=flywheel.engine)


def _known(lake: Lake, flywheel: str, exam: Exam, engine: str) -> list[Row]:
    rows = stored(lake, flywheel, exam, engine)
    return rows if all(row["score"] is not None for row in rows) else []


def _named(exam: Exam) -> Exam:
    """An exam as the log calls it: by version, but for a duel, whose arms are told apart by their names."""
    return exam if exam.is_duel else replace(exam, arm=_told(exam.model))


def _told(model: ModelRef) -> str:
    return f"version {model.version}"


def _of(rows: Sequence[Row], exam: Exam) -> list[Row]:
    arm = _named(exam).arm
    return [row for row in rows if (row["benchmark"], row["arm"]) == (exam.benchmark.name, arm)]


def _line(exam: Exam, rows: Sequence[Row], *, reused: bool, against: ModelRef | None) -> dict[str, Any]:
    """What the report says of a benchmark: its mean with its interval, by slice too, and what identifies the scores."""
    by_item = {row["item_id"]: row["score"] for row in rows}
    slices = comparing.slices(exam.benchmark, exam.items)
    return {
        "name": exam.benchmark.name,
        "task": exam.task,
        "metric": exam.benchmark.scored_by,
        "primary": exam.benchmark.primary,
        "version": exam.version,
        "prompt_digest": exam.prompt_digest,
        "decoding_digest": decoding_digest(exam.max_tokens),
        "against": against.version if exam.is_duel and against is not None else None,
        "reused": reused,
        **_mean(list(by_item.values())),
        "slices": [{"slice": name, **_mean([by_item[item] for item in items])} for name, items in slices.items()],
    }


def _mean(scores: Sequence[float]) -> dict[str, Any]:
    low, high = paired.mean_interval(scores, alpha=comparing.ALPHA)
    return {"n": len(scores), "score": sum(scores) / len(scores), "low": low, "high": high}
