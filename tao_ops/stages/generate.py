"""``generate``: explore better answers than the production prompt gives, sampled from the champion."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from tao_ops import backends, champions, strategies
from tao_ops.records import Completion, Message, ModelRef, Prompt, Sampling, StageReport
from tao_ops.shards import shard_prompts
from tao_ops.stages import Run
from tao_ops.strategies import Strategy
from tao_ops.tables import PROMPTS, RESPONSES


def run(run: Run) -> StageReport:
    """Sample responses for this shard's training prompts by every strategy of their task.

    Reads ``prompts`` of the turn; commits ``responses`` of the turn and shard at once.

    Raises:
        MissingInput: ``validate`` has not run.
        EngineError: the engine failed; nothing was committed.
    """
    inputs = {PROMPTS.name: run.lake.version(PROMPTS) or 0}
    prompts = shard_prompts(run.lake, run.flywheel, run.turn, run.shard)
    champion = champions.champion(run.flywheel, run.database_url, run.settings, run.say)
    seed = run.turn.seed(run.flywheel.seed, "generate", str(run.shard))
    # The order of examples is the same in all shards of a turn, so that shards don't change what is sampled.
    order = run.turn.seed(run.flywheel.seed, "strategies")
    built = {task: strategies.build(run.flywheel, task, seed=order) for task in run.flywheel.tasks}
    asked = [ask for prompt in prompts for ask in _asks(run, prompt, built[prompt.task])]
    run.say(f"{len(prompts)} prompts, {sum(a.sampling.samples for a in asked)} samples, model {champion.model_version}")
    rows: list[dict[str, Any]] = []
    if asked:
        engine = backends.start_engine(champion, seed=seed, say=run.say)
        sampled = engine.generate([a.messages for a in asked], [a.sampling for a in asked])
        rows = _rows(asked, sampled, champion)
    version = run.lake.write(RESPONSES, rows, turn=run.turn, run_id=run.run_id, shard=run.shard)
    return StageReport(
        stage="generate",
        rows_in=len(prompts),
        rows_out=len(rows),
        tokens=sum(len(row["token_ids"]) for row in rows),
        inputs=inputs,
        output_version=version,
        metrics={
            "model_version": champion.model_version,
            "seed": seed,
            "samples": dict(Counter(row["strategy"] for row in rows)),
            "truncated": sum(row["finish_reason"] == "length" for row in rows),
        },
    )


class _Asked:
    """One conversation on its way to the engine, and whose it is."""

    def __init__(self, prompt: Prompt, strategy: Strategy, messages: Sequence[Message], sampling: Sampling) -> None:
        self.prompt, self.strategy, self.messages, self.sampling = prompt, strategy, messages, sampling


def _asks(run: Run, prompt: Prompt, built: dict[str, Strategy]) -> list[_Asked]:
    task = run.flywheel.tasks[prompt.task]
    return [
        _Asked(
            prompt,
            built[config.name],
            ask.messages,
            Sampling(ask.samples, config.temperature, config.top_p, task.max_tokens),
        )
        for config in task.strategies
        for ask in built[config.name].asks(prompt, config.samples)
    ]


def _rows(asked: Sequence[_Asked], sampled: Sequence[Sequence[Completion]], champion: ModelRef) -> list[dict[str, Any]]:
    counts: Counter[tuple[str, str]] = Counter()
    rows = []
    for ask, completions in zip(asked, sampled, strict=True):
        for completion in completions:
            sample = counts[ask.prompt.query_id, ask.strategy.name]
            counts[ask.prompt.query_id, ask.strategy.name] += 1
            rows.append(
                {
                    "response_id": f"{ask.prompt.query_id}:{ask.strategy.name}:{sample}",
                    "query_id": ask.prompt.query_id,
                    "strategy": ask.strategy.name,
                    "strategy_version": ask.strategy.version,
                    "sample": sample,
                    "text": completion.text,
                    "answer": completion.text.strip(),
                    "token_ids": completion.token_ids,
                    "logprobs": completion.logprobs,
                    "finish_reason": completion.finish_reason,
                    "model_version": champion.model_version,
                }
            )
    return rows
