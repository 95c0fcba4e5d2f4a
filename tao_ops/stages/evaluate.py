"""``evaluate``: champion, control and candidate answer the same benchmark items; every score is kept."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tao_ops import backends, champions, prompts, strategies
from tao_ops.backends import Engine
from tao_ops.benchmarks import paired
from tao_ops.benchmarks.item_set import ItemSet, load_item_set
from tao_ops.benchmarks.metrics import METRICS
from tao_ops.config import BenchmarkConfig
from tao_ops.errors import ConfigError
from tao_ops.files import read_json, write_json
from tao_ops.models import model_facts, model_ref
from tao_ops.records import Message, ModelRef, Prompt, Sampling, StageReport
from tao_ops.rewards import Models
from tao_ops.scoring import verdicts
from tao_ops.scoring.models import scoring_models
from tao_ops.stages import Run
from tao_ops.tables import EVALUATIONS

REPORT = "report.json"
ALPHA = 0.05
"""The report's intervals are of 95 %; the gate has a level of its own."""
CHAMPION, CONTROL, CANDIDATE = "champion", "control", "candidate"


@dataclass(frozen=True)
class _Exam:
    """One arm on one benchmark: what identifies its scores, and what is asked."""

    arm: str
    model: ModelRef
    task: str
    benchmark: BenchmarkConfig
    items: ItemSet
    version: str
    """Of the items, and of the judge where one scores them."""
    prompt_digest: str
    conversations: Sequence[Sequence[Message]]
    max_tokens: int

    def identity(self, engine: str) -> dict[str, str]:
        """A stored score is this exam's only if all of these agree."""
        return {
            "model_version": self.model.model_version,
            "prompt_digest": self.prompt_digest,
            "decoding_digest": decoding_digest(self.max_tokens),
            "engine": engine,
            "benchmark": self.benchmark.name,
            "benchmark_version": self.version,
        }


def decoding_digest(max_tokens: int) -> str:
    """Names greedy decoding with a limit of ``max_tokens``."""
    return hashlib.sha256(json.dumps({"temperature": 0, "max_tokens": max_tokens}).encode()).hexdigest()[:16]


def run(run: Run) -> StageReport:
    """Score every arm on every benchmark by greedy decoding; scores that are stored already are taken from there.

    Commits ``evaluations`` of the turn at once, then writes ``report.json`` beside the candidate.

    Raises:
        MissingInput: ``update`` has not run.
        ConfigError: a benchmark cannot be read.
        EngineError: the engine failed; nothing was committed.
    """
    folder = run.lake.artifacts(run.turn, run.run_id)
    manifest = read_json(folder / "candidate.json", mend="run update first")
    candidate = model_ref(Path(manifest["path"]))
    champion = champions.champion(run.flywheel, run.database_url, run.settings, run.say)
    exams = [exam for task in run.flywheel.tasks for exam in _exams(run, task, champion, candidate)]
    engine_name = backends.engine_name()
    rows: list[dict[str, Any]] = []
    missing: list[_Exam] = []
    for exam in exams:
        stored = _stored(run, exam, engine_name)
        rows += stored
        if stored:
            run.say(f"{exam.arm} on {exam.benchmark.name}: {len(stored)} scores are stored already")
        else:
            missing.append(exam)
    if missing:
        rows += _answer(run, missing)
    version = run.lake.write(EVALUATIONS, rows, turn=run.turn, run_id=run.run_id)
    benchmarks = [_compare(rows, run, task, b) for task, t in run.flywheel.tasks.items() for b in t.benchmarks]
    write_json(folder / REPORT, _report(run, champion, candidate, engine_name, benchmarks))
    for line in benchmarks:
        run.say(_sentence(line))
    return StageReport(
        stage="evaluate",
        rows_in=sum(len(exam.items.items) for exam in exams),
        rows_out=len(rows),
        output_version=version,
        inputs={},
        metrics={
            "champion": champion.model_version,
            "candidate": candidate.model_version,
            "reused": len(exams) - len(missing),
            "benchmarks": [_public(line) for line in benchmarks],
        },
    )


def _exams(run: Run, task_name: str, champion: ModelRef, candidate: ModelRef) -> list[_Exam]:
    task, prompt = run.flywheel.tasks[task_name], run.flywheel.prompt(task_name)
    plain = prompts.digest(prompt)
    exams = []
    for benchmark in task.benchmarks:
        items = load_item_set(run.flywheel.file(benchmark.path), benchmark.name)
        version = items.version
        if benchmark.judge is not None:
            version = f"{version}-{verdicts.version(benchmark.judge, run.flywheel.file(''))}"
        asked = [prompts.production(prompt, item.messages) for item in items.items]
        for arm, model in ((CHAMPION, champion), (CANDIDATE, candidate)):
            exams.append(_Exam(arm, model, task_name, benchmark, items, version, plain, asked, task.max_tokens))
        control = run.flywheel.evaluate.control
        if control is not None:
            # A seed of the flywheel alone: the control's prompt is the same in every turn, so its scores are reused.
            built = strategies.build(run.flywheel, task_name, seed=run.flywheel.seed)
            digest = prompts.digest(f"{built[control].version} {run.flywheel.seed}")
            asked_so = [Prompt(item.item_id, task_name, tuple(item.messages)) for item in items.items]
            messages = [built[control].conversation(prompt, 0, ()) for prompt in asked_so]
            exams.append(
                _Exam(CONTROL, champion, task_name, benchmark, items, version, digest, messages, task.max_tokens)
            )
    return exams


def _stored(run: Run, exam: _Exam, engine: str) -> list[dict[str, Any]]:
    """The exam's scores where all of them are stored, whichever arm earned them; else none."""
    where: dict[str, Any] = dict(exam.identity(engine))
    rows = run.lake.read(EVALUATIONS, flywheel=run.turn.flywheel, **where).to_pylist()
    by_item = {row["item_id"]: row for row in rows}
    if set(by_item) != {item.item_id for item in exam.items.items}:
        return []
    return [{**row, "arm": exam.arm} for row in by_item.values()]


def _answer(run: Run, exams: Sequence[_Exam]) -> list[dict[str, Any]]:
    """Ask all exams with one engine, its weights swapped where the model changes."""
    engine: Engine | None = None
    models = scoring_models(run.flywheel, run.database_url, run.settings, run.say)
    loaded = ""
    rows = []
    for exam in sorted(exams, key=lambda exam: exam.arm == CANDIDATE):
        if engine is None:
            engine = backends.start_engine(exam.model, seed=run.flywheel.seed, say=run.say, config=run.flywheel.engine)
        elif exam.model.model_version != loaded:
            engine.reload(exam.model)
        loaded = exam.model.model_version
        run.say(f"{exam.arm} on {exam.benchmark.name}: {len(exam.items.items)} items")
        answers = engine.generate(exam.conversations, Sampling(max_tokens=exam.max_tokens))
        for item, completions in zip(exam.items.items, answers, strict=True):
            if not completions:
                raise ConfigError(
                    f"an item of {exam.benchmark.name} does not fit into {engine.max_model_len} tokens as {exam.arm}",
                    where=item.item_id,
                    mend="raise engine.context, or take the item out",
                )
        outputs = [completions[0].text for completions in answers]
        for item, output, score in zip(exam.items.items, outputs, _scores(exam, outputs, models, run), strict=True):
            rows.append(
                {
                    **exam.identity(engine.name),
                    "arm": exam.arm,
                    "item_id": item.item_id,
                    "score": score,
                    "output": output,
                }
            )
    return rows


def _scores(exam: _Exam, outputs: Sequence[str], models: Models, run: Run) -> list[float]:
    """By the benchmark's metric, or by the gate's own judge."""
    if exam.benchmark.judge is not None:
        return verdicts.scores(exam.benchmark.judge, exam.items, outputs, models, run.flywheel.file(""))
    metric = METRICS[exam.benchmark.metric]
    return [metric(output, item.reference) for output, item in zip(outputs, exam.items.items, strict=True)]


def _compare(rows: Sequence[dict[str, Any]], run: Run, task: str, benchmark: BenchmarkConfig) -> dict[str, Any]:
    """One line of the report: means with Wilson intervals, and the paired difference."""
    arms: dict[str, dict[str, float]] = {}
    for row in rows:
        if row["benchmark"] == benchmark.name:
            arms.setdefault(row["arm"], {})[row["item_id"]] = row["score"]
    items = sorted(arms[CHAMPION])
    champion, candidate = ([arms[arm][i] for i in items] for arm in (CHAMPION, CANDIDATE))
    version = next(row["benchmark_version"] for row in rows if row["benchmark"] == benchmark.name)
    pair = paired.compare(champion, candidate, alpha=ALPHA, seed=run.flywheel.seed)
    line: dict[str, Any] = {
        "name": benchmark.name,
        "version": version,
        "task": task,
        "metric": benchmark.metric,
        "primary": benchmark.primary,
        "n": len(items),
        "delta": pair.delta,
        "ci_low": pair.low,
        "ci_high": pair.high,
        "p_value": pair.p_value,
    }
    for arm in (CHAMPION, CONTROL, CANDIDATE):
        scores = [arms[arm][i] for i in items] if arm in arms else None
        low, high = paired.mean_interval(scores) if scores else (None, None)
        line |= {arm: sum(scores) / len(scores) if scores else None, f"{arm}_low": low, f"{arm}_high": high}
    return line


def _report(
    run: Run, champion: ModelRef, candidate: ModelRef, engine: str, benchmarks: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    return {
        "flywheel": run.turn.flywheel,
        "turn": run.turn.key,
        "run_id": run.run_id,
        "champion": {**model_facts(champion).as_dict(), "version": champion.version, "path": champion.path},
        "candidate": {**model_facts(candidate).as_dict(), "version": None, "path": candidate.path},
        "prompt_digests": {task: prompts.digest(run.flywheel.prompt(task)) for task in run.flywheel.tasks},
        "decoding_digests": {name: decoding_digest(task.max_tokens) for name, task in run.flywheel.tasks.items()},
        "engine": engine,
        "benchmarks": list(benchmarks),
    }


_INTERNAL = ("version", "task")


def _public(line: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in line.items() if key not in _INTERNAL}


def _sentence(line: Mapping[str, Any]) -> str:
    control = "" if line["control"] is None else f", control {line['control']:.3f}"
    return (
        f"{line['name']} ({line['n']} items, {line['metric']}): champion {line['champion']:.3f}{control}, "
        f"candidate {line['candidate']:.3f}; difference {line['delta']:+.3f} "
        f"[{line['ci_low']:+.3f}, {line['ci_high']:+.3f}], p {line['p_value']:.2g}"
    )
