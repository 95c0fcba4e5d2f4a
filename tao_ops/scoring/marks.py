"""Marks of a benchmark: what each output is worth, by the benchmark's metric, scorer or judge, given the reference."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tao_ops.benchmarks.item_sets import File, Item, ItemSet, database_digests, databases, load_items
from tao_ops.benchmarks.metrics import METRICS, as_text
from tao_ops.config import BenchmarkConfig, BenchmarkFormat, ScorerConfig, SqlConfig, SqlExecutionConfig
from tao_ops.errors import ConfigError, DataError
from tao_ops.records import Candidate, Prompt
from tao_ops.rewards import Models, Score, Setting, final_answer, instructions, numeric, sql
from tao_ops.rewards.scorers import build
from tao_ops.scoring import harness, verdicts

SECONDS = 30.0
"""Of one query of a text-to-SQL benchmark: the limit of BIRD's own evaluation."""
_ROWS, _MEMORY_MIB = 1_000_000, 2048
_DATABASE = "{database}"


def scores(
    benchmark: BenchmarkConfig, items: ItemSet, outputs: Sequence[str], models: Models, file: File
) -> list[float]:
    """What each output is worth, in [0, 1], in the order of the items.

    A scorer that cannot decide on an output gives it 0: it was not shown to be right. A judge gives it 0.5.

    Raises:
        ConfigError: the scorer, the judge or a constraint cannot be used.
        DataError: more than a twentieth of the items could not be decided: two models could not be compared.
        EngineError: the judge cannot be reached, or the process that runs SQL cannot be started.
    """
    if benchmark.judge is not None:
        return verdicts.scores(benchmark.judge, items, outputs, models, file(""))
    if (metric := METRICS.get(benchmark.scored_by)) is not None and benchmark.scorer is None:
        return [metric(output, item.reference) for output, item in zip(outputs, items.items, strict=True)]
    found = _found(benchmark, items, outputs, models, file)
    without = [(item, one) for item, one in zip(items.items, found, strict=True) if one.value is None]
    if len(without) > verdicts.UNDECIDED * len(found):
        item, score = without[0]
        raise DataError(
            f"{benchmark.scored_by} could not score {len(without)} of {len(found)} items of {items.name}: "
            f"{score.reason}",
            where=f"the first: {item.item_id}",
            mend="mend the references of these items, or take them out",
        )
    return [0.0 if score.value is None else score.value for score in found]


def check(benchmark: BenchmarkConfig, items: ItemSet, file: File) -> None:
    """See that every output can be scored, before the first is asked for; no model is loaded.

    Raises:
        ConfigError: names the scorer's file, the database, or the item.
    """
    if benchmark.judge is not None:
        verdicts.version(benchmark.judge, file(""))
    elif benchmark.scorer is not None:
        _scorer(benchmark.scorer, file(""), None)
    elif benchmark.format in (BenchmarkFormat.BIRD, BenchmarkFormat.SPIDER):
        for path in databases(benchmark, items.items, file).values():
            sql.check(_limits(path), path.parent)
    elif benchmark.scored_by == "instructions":
        for item in items.items:
            instructions.check(item.reference["constraints"], where=f"{items.name}: {item.item_id}")
    elif benchmark.scored_by == "numeric":
        for item in items.items:
            if final_answer.find(str(item.reference["answer"])) is None:
                raise ConfigError(
                    "a reference without a number",
                    where=f"{items.name}: {item.item_id}",
                    mend="mend it, or take it out",
                )


def asked(benchmark: BenchmarkConfig, file: File) -> ItemSet:
    """What a benchmark asks, whoever reads it: of a file, or of a task of the harness.

    Raises:
        ConfigError: it cannot be read, or is the holdout, whose items are in the lake.
    """
    if benchmark.format is BenchmarkFormat.HARNESS:
        return harness.harness_items(benchmark, file)
    return load_items(benchmark, file)


def version(benchmark: BenchmarkConfig, file: File) -> str:
    """A benchmark's version, ``<items>`` or ``<items>-<rule>``: what is asked and expected, and how it is scored.

    Scores of another version are not comparable. The first part is the item set's, the second :func:`rule`.

    Raises:
        ConfigError: the items, or a file that the scorer or the judge names, cannot be read.
    """
    if benchmark.format is BenchmarkFormat.HARNESS:
        items = harness.version(benchmark, file)
    else:
        items = load_items(benchmark, file).version
    return "-".join(filter(None, (items, rule(benchmark, file))))


def rule(benchmark: BenchmarkConfig, file: File) -> str:
    """Eight hex digits that change with how outputs are scored; empty for ``exact_json``, which never changes.

    Raises:
        ConfigError: a file that the scorer or the judge names cannot be read.
    """
    if benchmark.judge is not None:
        return verdicts.version(benchmark.judge, file(""))
    if benchmark.scorer is not None:
        return _short([benchmark.scorer.model_dump_json(), *_files(benchmark.scorer, file)])
    return "" if benchmark.scored_by == "exact_json" else _short([benchmark.scored_by])


def _found(
    benchmark: BenchmarkConfig, items: ItemSet, outputs: Sequence[str], models: Models | None, file: File
) -> list[Score]:
    if benchmark.scorer is not None:
        return _scorer(benchmark.scorer, file(""), models)(_candidates(items, outputs))
    match benchmark.scored_by:
        case "execution_accuracy":
            return _executed(benchmark, items, outputs, file)
        case "instructions":
            return [_followed(item, output) for item, output in zip(items.items, outputs, strict=True)]
        case "numeric":
            return [_number(item, output) for item, output in zip(items.items, outputs, strict=True)]
    raise ConfigError(f"benchmark {benchmark.name} has no metric {benchmark.scored_by!r} that scores outputs")


def _candidates(items: ItemSet, outputs: Sequence[str]) -> list[Candidate]:
    batch = []
    for item, output in zip(items.items, outputs, strict=True):
        prompt = Prompt(item.item_id, "", item.messages)
        reference = as_text(item.reference) if item.reference else None
        batch.append(Candidate(item.item_id, prompt.text, output, "", prompt.context, reference))
    return batch


def _scorer(config: ScorerConfig, include: Path, models: Models | None) -> Callable[[Sequence[Candidate]], list[Score]]:
    scorer = build(config, Setting(include, models=models))
    if scorer is None:
        raise ConfigError(f"{config.name!r} gives no score of one output alone", mend="name another scorer")
    return scorer


def _number(item: Item, output: str) -> Score:
    """Right where the final number is the reference's, as it is written or with its scale."""
    right = [str(item.reference[key]) for key in ("answer", "scaled") if key in item.reference]
    found = numeric.score([Candidate(item.item_id, "", output, reference=one) for one in right])
    return max(found, key=lambda score: -1.0 if score.value is None else score.value)


def _followed(item: Item, output: str) -> Score:
    """IFEval's strict accuracy of a prompt: all of its constraints, or none of them counts.

    A constraint that cannot be told counts as followed, as its authors have it: the language of a text that is none.
    """
    told = [instructions.follows(output, constraint) for constraint in item.reference["constraints"]]
    return Score(0.0 if False in told else 1.0)


def _executed(benchmark: BenchmarkConfig, items: ItemSet, outputs: Sequence[str], file: File) -> list[Score]:
    there = databases(benchmark, items.items, file)
    alike = _same_set if benchmark.format is BenchmarkFormat.BIRD else sql.same
    return [
        _execution(output, str(item.reference["sql"]), there[str(item.reference["db_id"])], alike)
        for item, output in zip(items.items, outputs, strict=True)
    ]


def _execution(output: str, gold: str, database: Path, alike: Callable[[Any, Any], bool]) -> Score:
    """Execution accuracy; 0 also where no gold result is there to compare with, which counts as undecided."""
    limits = _limits(database)
    right = sql.run(gold, path=database, sql=limits)
    if isinstance(right, sql.NoResult):
        return Score(None, f"the gold SQL gives no result: {right.why}")
    found = sql.run(output, path=database, sql=limits)
    if isinstance(found, sql.NoResult):
        return Score(0.0, found.why)
    return Score(float(alike(right, found)))


def _same_set(right: sql.Result, found: sql.Result) -> bool:
    """BIRD's rule: the same set of rows, columns in their order; neither the order of rows nor repeats count."""
    return set(right.rows) == set(found.rows)


def _limits(database: Path) -> SqlConfig:
    return SqlConfig(database=str(database.absolute()), seconds=SECONDS, rows=_ROWS, memory_mib=_MEMORY_MIB)


def _files(config: ScorerConfig, file: File) -> list[str]:
    """What the files say that a scorer names; of databases their digests."""
    told = []
    if (name := getattr(config, "file", None)) is not None:
        path = file(name)
        try:
            told.append(path.read_bytes().hex())
        except OSError as error:
            raise ConfigError(f"the scorer's file cannot be read: {error.strerror}", where=path) from None
    if isinstance(config, SqlExecutionConfig):
        pattern = file(config.sql.database)
        found = sorted(pattern.parent.glob(pattern.name.replace(_DATABASE, "*")))
        told += database_digests({path.name: path for path in found})
    return told


def _short(told: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(list(told)).encode()).hexdigest()[:8]
