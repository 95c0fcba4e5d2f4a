"""All responses that any policy may ask for, sampled once, so that policies are compared on the same ones.

A replay draws from the pool without replacement, in an order of its own: what a policy would have got, had it asked.
"""

import hashlib
import json
import random
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.exploration.tasks import SEED, Labelled
from tao_ops import backends, exploration
from tao_ops.champions import base_model
from tao_ops.exploration import Budget, Response, Rule, Uniform, Wanted
from tao_ops.files import replaced
from tao_ops.models import model_ref
from tao_ops.records import Completion
from tao_ops.settings import Settings

Key = tuple[str, str, int]
"""Query, strategy, number of the sample."""


class Pool:
    """The responses of a labelled task."""

    def __init__(self, rows: Sequence[dict[str, Any]]) -> None:
        self._rows = {(r["query_id"], r["strategy"], r["sample"]): r for r in rows}
        counts: dict[tuple[str, str], int] = {}
        for query_id, strategy, _ in self._rows:
            counts[query_id, strategy] = counts.get((query_id, strategy), 0) + 1
        self._counts = counts

    def replay(self, seed: int) -> exploration.Sample:
        """Answers rounds from the pool, each query's and strategy's responses in an order that the seed decides."""
        order: dict[tuple[str, str], list[int]] = {}
        for key, count in sorted(self._counts.items()):
            order[key] = random.Random(f"{seed} {key}").sample(range(count), count)

        def sampled(wanted: Sequence[Wanted]) -> tuple[list[Response], list[Wanted], int]:
            found = [self._response(one, order[one.prompt.query_id, one.way.name][one.sample]) for one in wanted]
            return found, [], sum(response.tokens for response in found)

        return sampled

    def _response(self, wanted: Wanted, sample: int) -> Response:
        row = self._rows[wanted.prompt.query_id, wanted.way.name, sample]
        completion = Completion(row["text"], (), (), row["finish_reason"], row["tokens"])
        return Response(wanted, completion, row["answer"], row["tokens"])


def load(task: Labelled, explored: exploration.Explored) -> Pool:
    """The pool of a task, sampled where this model, these strategies and these queries have none yet."""
    settings = Settings.from_env()
    model = model_ref(base_model(task.flywheel, settings))
    told = [
        model.model_version,
        backends.engine_name(),
        [[way.strategy.version, way.max_tokens, way.config.model_dump(mode="json")] for way in explored.ways],
        [list(prompt.messages) for prompt in task.prompts],
    ]
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]
    path = settings.cache / "benchmarks" / f"exploration-{task.name}-{digest}.jsonl"
    if not path.is_file():
        _sample(task, explored, model, path)
    return Pool([json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line])


def _sample(task: Labelled, explored: exploration.Explored, model: Any, path: Path) -> None:
    engine = backends.start_engine(model, seed=SEED, say=print)
    found = exploration.explore(
        task.prompts,
        {task.name: explored},
        sampled=partial(exploration.sample, engine),
        policy=Uniform(),
        budget=Budget(),
        rule=Rule(0.9, task.flywheel.update.min_reward),
        say=print,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with replaced(path) as part:
        part.write_text("".join(json.dumps(_row(response)) + "\n" for response in found.responses), encoding="utf-8")


def _row(response: Response) -> dict[str, Any]:
    wanted = response.wanted
    return {
        "query_id": wanted.prompt.query_id,
        "strategy": wanted.way.name,
        "sample": wanted.sample,
        "text": response.completion.text,
        "answer": response.answer,
        "finish_reason": response.completion.finish_reason,
        "tokens": response.tokens,
    }
