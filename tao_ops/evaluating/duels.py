"""The frozen holdout as a benchmark: champion against candidate, judged blind and in both orders, without labels."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tao_ops import splits
from tao_ops.benchmarks.item_sets import Item, ItemSet
from tao_ops.config import BenchmarkConfig, JudgeConfig
from tao_ops.errors import DataError
from tao_ops.lake import Lake
from tao_ops.records import Candidate, ModelRef, Prompt, Split
from tao_ops.rewards import Models, Setting
from tao_ops.rewards.scorers import build
from tao_ops.scoring import verdicts
from tao_ops.tables import PROMPTS
from tao_ops.turn import Turn

TIE = 0.5


def items(lake: Lake, turn: Turn, task: str, benchmark: BenchmarkConfig) -> ItemSet:
    """The holdout's prompts of a task up to this turn, one of each cluster, the newest ``benchmark.limit``.

    Of one turn's, by their texts' digests, the same on every installation. The version is the digest of them all.

    Raises:
        DataError: there are none.
    """
    where: dict[str, Any] = {"flywheel": turn.flywheel, "task": task, "split": Split.HOLDOUT.value}
    rows = [row for row in lake.read(PROMPTS, **where).to_pylist() if row["turn"] <= turn.key]
    rows.sort(key=lambda row: (row["turn"], splits.messages_digest(row["messages"])), reverse=True)
    newest: dict[str, Item] = {}
    for row in rows:
        newest.setdefault(row["cluster"], Item(row["query_id"], tuple(row["messages"]), {}))
    found = tuple(newest.values())[: benchmark.limit]
    if not found:
        raise DataError(
            f"benchmark {benchmark.name}: the holdout has no prompts of task {task}",
            where=turn.key,
            mend="raise validate.holdout, or give the task a benchmark with a 'path'",
        )
    told = json.dumps([[item.item_id, item.messages] for item in found], sort_keys=True)
    return ItemSet(benchmark.name, hashlib.sha256(told.encode()).hexdigest()[:16], found)


def version(benchmark: BenchmarkConfig, asked: ItemSet, champion: ModelRef, candidate: ModelRef, include: Path) -> str:
    """Names the items, the judge and the two models: a score against another opponent is another score."""
    assert benchmark.judge is not None
    pair = "\n".join(sorted((champion.model_version, candidate.model_version)))
    models = hashlib.sha256(pair.encode()).hexdigest()[:8]
    return f"{asked.version}-{verdicts.version(benchmark.judge, include)}-{models}"


def scores(
    judge: JudgeConfig,
    asked: ItemSet,
    champion: Sequence[str],
    candidate: Sequence[str],
    models: Models,
    include: Path,
) -> list[float]:
    """The probability that the candidate's answer is the better one, by item; the champion's score is 1 minus that.

    The mean of both orders, so that a judge who prefers a position says 0.5. Equal answers, and a pair that the judge
    has no verdict on, are a tie, 0.5.

    Raises:
        ConfigError: the judge's rubric, instructions or model cannot be used.
        DataError: it gave no verdict on more than a twentieth of the items.
        EngineError: it cannot be reached.
    """
    scorer = build(judge, Setting(include, models=models))
    assert scorer is not None
    pairs = [(before.strip(), after.strip()) for before, after in zip(champion, candidate, strict=True)]
    differ = [i for i, (before, after) in enumerate(pairs) if before != after]
    found = [TIE] * len(pairs)
    told = scorer([one for i in differ for one in _both(asked.items[i], *pairs[i])])[1::2]
    without = [(i, score) for i, score in zip(differ, told, strict=True) if score.value is None]
    if len(without) > verdicts.UNDECIDED * len(pairs):
        i, score = without[0]
        raise DataError(
            f"the judge of {asked.name} gave no verdict on {len(without)} of {len(pairs)} pairs: {score.reason}",
            where=f"the first: {asked.items[i].item_id}",
            mend="see that it answers, and that two answers fit into its context; then run evaluate again",
        )
    for i, score in zip(differ, told, strict=True):
        found[i] = TIE if score.value is None else score.value
    return found


def _both(item: Item, champion: str, candidate: str) -> list[Candidate]:
    prompt = Prompt(item.item_id, "", item.messages)
    return [Candidate(item.item_id, prompt.text, text, "", prompt.context) for text in (champion, candidate)]
