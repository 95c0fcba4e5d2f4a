"""``validate``: ``queries`` become ``prompts``: clean, each once with its count, split, none of them an exam item."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tao_ops import exam, expectations, observations
from tao_ops.champions import base_model
from tao_ops.clusters import Index, Placed
from tao_ops.context import Context
from tao_ops.errors import DataError, MissingInput
from tao_ops.expectations import Checked, Suite
from tao_ops.exploration import yields
from tao_ops.records import Split, StageReport
from tao_ops.splits import Wall
from tao_ops.stages import Run
from tao_ops.tables import PROMPTS, QUARANTINE, QUERIES, RESPONSES, REWARDS, TURNS, Reason

Row = dict[str, Any]

_EXCERPT = 200
_READ = [
    *("query_id", "request_id", "source", "task", "received_at"),
    *("messages", "model_version", "response", "user_hash"),
]


@dataclass
class _Task:
    """A task of the flywheel on the day: what it is held against, and what was found."""

    name: str
    suite: Suite
    wall: Wall
    rows: list[Row]
    observed: dict[str, Any] = field(default_factory=dict)
    checked: Checked = field(default_factory=Checked)


@dataclass
class _Taken:
    """What becomes of the turn's queries; merged and exam count by ``equal`` and ``near``."""

    prompts: list[Row] = field(default_factory=list)
    quarantine: list[Row] = field(default_factory=list)
    merged: dict[str, int] = field(default_factory=lambda: {"equal": 0, "near": 0})
    exam: dict[str, int] = field(default_factory=lambda: {"equal": 0, "near": 0})


def run(run: Run) -> StageReport:
    """Check the turn's queries against their tasks' suites, merge equal and near ones, split them, plan the shards.

    Raises:
        MissingInput: ``ingest`` has not run.
        ConfigError: there is no key for the hashes, or a suite or a benchmark cannot be used.
        DataError: an expectation about the day failed, or nothing is left to train on.

    Where it raises, no table was written; Data Docs may have been.
    """
    key = run.settings.require_hash_key()
    inputs = {QUERIES.name: run.lake.version(QUERIES) or 0}
    tasks = _tasks(run)
    total = sum(len(task.rows) for task in tasks)
    refused = observations.quarantine_share(run.lake, run.turn, total)
    for task in tasks:
        _observe(run, task, refused)
    docs = _tell(run, tasks)
    index = Index.load(run.lake, run.turn)
    taken = _Taken()
    for task in tasks:
        _place(run, index, task, taken, key)
    splits_seen = Counter(prompt["split"] for prompt in taken.prompts)
    if not splits_seen[Split.TRAIN]:
        raise DataError(
            f"no prompt to train on is left of {total} queries",
            where=run.turn.key,
            mend="see what the queries of the day are, and what the suite and validate.holdout keep away",
        )
    shards = min(run.flywheel.generate.shards, len(taken.prompts))
    index.write(run.run_id)
    run.lake.write(QUARANTINE, taken.quarantine, turn=run.turn, run_id=run.run_id, stage="validate")
    version = run.lake.write(PROMPTS, taken.prompts, turn=run.turn, run_id=run.run_id)
    _drop_stale_shards(run, shards)
    return StageReport(
        stage="validate",
        rows_in=total,
        rows_out=len(taken.prompts),
        inputs=inputs,
        output_version=version,
        metrics={
            "quarantine": dict(Counter(row["reason"] for row in taken.quarantine)),
            "merged": taken.merged,
            "exam": taken.exam,
            "train": splits_seen[Split.TRAIN],
            "holdout": splits_seen[Split.HOLDOUT],
            "shards": shards,
            "warnings": [f"{task.name}: {words}" for task in tasks for words in task.checked.warnings],
            "data_docs": str(docs),
            # Here and not in a shard: all shards of a turn weigh the strategies alike, whenever they run.
            "prior": yields.told(yields.earlier(run.lake, run.turn, run.flywheel.generate.history)),
            "observations": {task.name: task.observed for task in tasks},
        },
    )


def _tasks(run: Run) -> list[_Task]:
    """The tasks with their queries, oldest first: which of two equal ones leads must not depend on how a read went."""
    rows = run.lake.read(QUERIES, columns=_READ, flywheel=run.turn.flywheel, turn=run.turn.key).to_pylist()
    if not rows:
        raise MissingInput("no queries of this turn", where=run.turn.key, mend="run ingest first")
    rows.sort(key=lambda row: (row["received_at"], row["query_id"], row["source"], row["request_id"]))
    configs, walls = run.flywheel.tasks, exam.walls(run.flywheel)
    return [
        _Task(
            name,
            expectations.load_suite(run.flywheel.file(config.expectations), run.settings.include),
            walls[name],
            [row for row in rows if row["task"] == name],
        )
        for name, config in configs.items()
    ]


def _observe(run: Run, task: _Task, refused: float) -> None:
    """Look at a task's queries, at the turns before, and at what the suite says of both."""
    tokenizer = None
    if "tokens" in task.suite.columns:
        tokenizer = base_model(run.flywheel, run.settings, run.say) / "tokenizer.json"
    columns = observations.rows(task.rows, tokenizer=tokenizer)
    users = len({row["user_hash"] for row in task.rows} - {None})
    task.observed = observations.observe(columns, users)
    day = observations.day(task.observed, observations.trailing(run.lake, run.turn, task.name), refused)
    task.checked = expectations.check(task.suite, columns, day)


def _tell(run: Run, tasks: Sequence[_Task]) -> Path:
    """Write Data Docs, say what is odd about the day, and end the stage where that is critical."""
    folder = run.lake.artifacts(run.turn, run.run_id) / "data_docs"
    title = f"{run.turn.flywheel}, turn {run.turn.key}, run {run.run_id}"
    docs = expectations.write_data_docs(folder, title, {task.name: (task.suite, task.checked) for task in tasks})
    run.say(f"data docs: {docs}")
    for task in tasks:
        for words in task.checked.warnings:
            run.say(f"warning: {task.name}: {words}")
    failures = [(task, words) for task in tasks for words in task.checked.failures]
    if failures:
        task, words = failures[0]
        raise DataError(
            f"expectation failed: {words}" + (f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""),
            where=f"{task.suite.path}, {run.turn.key}",
            mend=f"see what is wrong with the day's queries ({docs}), or mend the expectation",
        )
    return docs


def _place(run: Run, index: Index, task: _Task, taken: _Taken, key: bytes) -> None:
    """Refuse what failed; give each other query its cluster and split; merge it, or keep it away from training."""
    failed = {i: (Reason.EXPECTATION, why) for i, why in task.checked.failed_rows.items()}
    failed |= {i: why for i, why in _too_long(run, task).items() if i not in failed}
    taken.quarantine += [_refuse(task.rows[i], reason, f"{why}: ") for i, (reason, why) in sorted(failed.items())]
    rows = [row for i, row in enumerate(task.rows) if i not in failed]
    placed = index.assign(
        task.name,
        [(row["query_id"], row["messages"]) for row in rows],
        wall=task.wall,
        holdout=run.flywheel.validate_.holdout,
        threshold=run.flywheel.tasks[task.name].near_duplicates,
        key=key,
    )
    prompts: dict[int, Row] = {}
    for i, (row, place) in enumerate(zip(rows, placed, strict=True)):
        how = "near" if place.near else "equal"
        if place.reason is not None:
            taken.quarantine.append(_refuse(row, place.reason))
            taken.exam[how] += place.reason is Reason.BENCHMARK_ITEM
        elif place.leader == i:
            prompts[i] = _prompt(row, place)
        else:
            prompts[place.leader]["count"] += 1
            taken.merged[how] += 1
    taken.prompts += prompts.values()


def _too_long(run: Run, task: _Task) -> dict[int, tuple[Reason, str]]:
    """The rows that could be asked neither now nor when served: nothing is cut in silence to make them fit."""
    config, engine = run.flywheel.tasks[task.name], run.flywheel.engine
    context = Context(
        engine.context,
        config.max_tokens,
        run.flywheel.prompt(task.name),
        lambda: base_model(run.flywheel, run.settings, run.say),
    )
    excess = {i: context.excess(row["messages"]) for i, row in enumerate(task.rows)}
    return {i: (Reason.TOO_LONG_FOR_CONTEXT, f"{tokens} tokens too many") for i, tokens in excess.items() if tokens}


def _prompt(row: Mapping[str, Any], place: Placed) -> Row:
    assert place.split is not None  # what is not refused has one
    kept = {name: row[name] for name in ("query_id", "task", "messages")}
    return {**kept, "count": 1, "cluster": place.cluster, "split": place.split.value}


def _refuse(row: Mapping[str, Any], reason: Reason, why: str = "") -> Row:
    return {
        "source": row["source"],
        "position": row["request_id"],
        "reason": reason.value,
        "excerpt": f"{why}{row['messages'][-1]['content']}"[:_EXCERPT],
        "user_hash": row["user_hash"],
    }


def _drop_stale_shards(run: Run, shards: int) -> None:
    """An earlier run may have had more shards than this one will write."""
    for table in (RESPONSES, REWARDS):
        have = run.lake.read(table, columns=["shard"], flywheel=run.turn.flywheel, turn=run.turn.key)
        stale = {s for s in have.column("shard").to_pylist() if s >= shards}
        if stale:
            run.lake.delete(table, turn=run.turn, shard=stale)
            run.lake.delete(TURNS, turn=run.turn, shard=stale)
