"""``evaluate``: champion, control and candidate answer the same benchmark items; every score is kept."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tao_ops import backends, champions, prompts
from tao_ops.backends import Engine
from tao_ops.evaluating import comparing, contamination, pacing
from tao_ops.evaluating.answering import Answers, Asker
from tao_ops.evaluating.exams import CANDIDATE, CHAMPION, Arms, Exam, decoding_digest, exams, see_unchanged, stored
from tao_ops.evaluating.one_engine import OneEngine
from tao_ops.evaluating.rewarding import with_rewards
from tao_ops.files import read_json, write_json
from tao_ops.models import model_facts, model_ref
from tao_ops.records import ModelRef, StageReport
from tao_ops.scoring.falls import falls
from tao_ops.scoring.models import scoring_models
from tao_ops.stages import Run
from tao_ops.tables import EVALUATIONS

REPORT = "report.json"
Row = dict[str, Any]


def run(run: Run) -> StageReport:
    """Score every arm on every benchmark by greedy decoding; scores that are stored already are taken from there.

    Commits ``evaluations`` of the turn at once, then times champion and candidate beside each other, and writes
    ``report.json`` beside the candidate.

    Raises:
        MissingInput: ``update`` has not run.
        ConfigError: a benchmark cannot be read, or none of its items has a declared slice.
        DataError: a score is no number from 0 to 1, a judge gave too few verdicts, or a benchmark changed meanwhile.
        EngineError: the engine failed. In all these cases nothing was committed, unless it failed while it was timed:
            the scores are stored then, and the next attempt only times.
    """
    folder = run.lake.artifacts(run.turn, run.run_id)
    manifest = read_json(folder / "candidate.json", mend="run update first")
    candidate = model_ref(Path(manifest["path"]))
    champion = champions.champion(run.flywheel, run.database_url, run.settings, run.say)
    every = exams(run.flywheel, run.lake, run.turn, Arms(champion, candidate))
    slices = {exam.benchmark.name: comparing.slices(exam.benchmark, exam.items) for exam in every}
    rows, missing = _stored(run, every)
    asked = sum(len(exam.items.items) for exam in missing)
    run.say(f"{len(missing)} of {len(every)} exams are to be taken, {asked} items in all")
    engine = OneEngine(lambda model: _start(run, model))
    answers = _ask(run, missing, engine)
    rows = with_rewards(run.flywheel, every, [*rows, *answers.rows])
    see_unchanged(run.flywheel, every)
    contaminated = _contaminated(run, every, candidate)
    version = run.lake.write(EVALUATIONS, rows, turn=run.turn, run_id=run.run_id)
    lines = [
        comparing.line(exam, _of(rows, exam), slices[exam.benchmark.name], seed=run.flywheel.seed)
        for exam in every
        if exam.arm == CHAMPION
    ]
    told = {"slice_items": slices, "contaminated": contaminated, "fallen": _fallen(run, manifest), "benchmarks": lines}
    report = _report(run, champion, candidate, told)
    paces = {"seconds_a_token": _paces(run, engine, report, every, rows)}
    write_json(folder / REPORT, {**report, **paces})
    for line in lines:
        run.say(comparing.sentence(line))
    return StageReport(
        stage="evaluate",
        rows_in=sum(len(exam.items.items) for exam in every),
        rows_out=len(rows),
        output_version=version,
        inputs={},
        tokens=answers.tokens,
        metrics={
            "champion": champion.model_version,
            "candidate": candidate.model_version,
            "reused": len(every) - len(missing),
            "contaminated": contaminated,
            "fallen": report["fallen"],
            **paces,
            "benchmarks": [_public(line) for line in lines],
        },
    )


def _stored(run: Run, every: Sequence[Exam]) -> tuple[list[Row], list[Exam]]:
    """The rows that are stored already, and the exams that have none; of a duel both arms or neither."""
    name = backends.engine_name()
    found = [stored(run.lake, run.flywheel.name, exam, name) for exam in every]
    again = {exam.benchmark.name for exam, rows in zip(every, found, strict=True) if exam.is_duel and not rows}
    rows: list[Row] = []
    missing = []
    for exam, mine in zip(every, found, strict=True):
        if mine and exam.benchmark.name not in again:
            run.say(f"{exam.arm} on {exam.benchmark.name}: {len(mine)} scores are stored already")
            rows += mine
        else:
            missing.append(exam)
    return rows, missing


def _start(run: Run, model: ModelRef) -> Engine:
    return backends.start_engine(model, seed=run.flywheel.seed, say=run.say, config=run.flywheel.engine)


def _ask(run: Run, missing: Sequence[Exam], engine: OneEngine) -> Answers:
    models = scoring_models(run.flywheel, run.database_url, run.settings, run.say)
    return Asker(run.flywheel, engine, models, run.say).ask(missing)


_TIMED_AS = (CHAMPION, CANDIDATE, "prompt_digests", "engine")
"""What a report must agree in for its pace to be this report's, too."""


def _paces(
    run: Run, engine: OneEngine, report: Mapping[str, Any], every: Sequence[Exam], rows: Sequence[Row]
) -> dict[str, float | None]:
    """Seconds of champion and candidate for a token; of the attempt before this one, where that has timed the same."""
    guards, path = run.flywheel.gate.guards, run.lake.artifacts(run.turn, run.run_id) / REPORT
    if not guards.timed:
        return dict(pacing.UNKNOWN)
    if path.is_file():
        before = read_json(path, mend="remove it and run evaluate again")
        known: dict[str, float | None] = before.get("seconds_a_token", {})
        if known.get(CANDIDATE) is not None and all(before[key] == report[key] for key in _TIMED_AS):
            return known
    on = pacing.course(every, rows, most=guards.timed)
    if on is None:
        run.say("speed: not told, since no benchmark has items that both models answered with a token")
        return dict(pacing.UNKNOWN)
    return pacing.seconds_a_token(engine, on, slower=guards.slower, say=run.say)


def _fallen(run: Run, manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The probes that the scorers of the rewards fell for which the candidate was trained on."""
    turns = manifest.get("lineage", {}).get("turns") or [run.turn.key]
    return [asdict(fall) for fall in falls(run.lake, run.turn.flywheel, turns)]


def _contaminated(run: Run, every: Sequence[Exam], candidate: ModelRef) -> int:
    """How many benchmark items the candidate was trained on; the log names some."""
    asked = {exam.benchmark.name: exam.items for exam in every if not exam.is_duel}
    rows = contamination.trained_on(Path(candidate.path))
    found = sorted(contamination.contaminated(run.flywheel, list(asked.values()), rows))
    if found:
        few = ", ".join(found[:3])
        run.say(f"the candidate was trained on {len(found)} benchmark items: {few}{', …' * (len(found) > 3)}")
    return len(found)


def _of(rows: Sequence[Row], exam: Exam) -> list[Row]:
    return [row for row in rows if row["benchmark"] == exam.benchmark.name]


def _report(run: Run, champion: ModelRef, candidate: ModelRef, told: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "flywheel": run.turn.flywheel,
        "turn": run.turn.key,
        "run_id": run.run_id,
        CHAMPION: {**model_facts(champion).as_dict(), "version": champion.version, "path": champion.path},
        CANDIDATE: {**model_facts(candidate).as_dict(), "version": None, "path": candidate.path},
        "prompt_digests": {task: prompts.digest(run.flywheel.prompt(task)) for task in run.flywheel.tasks},
        "decoding_digests": {name: decoding_digest(task.max_tokens) for name, task in run.flywheel.tasks.items()},
        "engine": backends.engine_name(),
        **told,
    }


_INTERNAL = ("version", "task")


def _public(line: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in line.items() if key not in _INTERNAL}
