"""Pairs of responses to one query of which one is better: by users, by verifiers, or by the reward."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from typing import Any

from tao_ops import exam, splits
from tao_ops.config import Flywheel
from tao_ops.config.scorers import OwnScorerConfig, Verifier
from tao_ops.errors import ConfigError, DataError, MissingInput
from tao_ops.lake import Lake
from tao_ops.records import Prompt, Split
from tao_ops.tables import PROMPTS, QUERIES, RESPONSES, REWARDS
from tao_ops.turn import Turn

PER_QUERY = 4
"""Most pairs of one query, so that a few that many responses were sampled for don't decide."""
HELD_OUT = 0.2
"""Share of the queries whose pairs are not trained on."""


class Source(StrEnum):
    """What says that one response is better."""

    FEEDBACK = "feedback"
    """Users liked it, and disliked the other."""
    VERIFIER = "verifier"
    """It passes the task's verifiers, and the other does not."""
    REWARD = "reward"
    """Its reward is higher by the margin."""


@dataclass(frozen=True)
class Pair:
    """Two responses to one query.

    Attributes:
        chosen: text of the better one; ``rejected`` that of the other.
        ids: turn and id of both in ``responses``; empty for those that users were given.
    """

    source: Source
    chosen: str
    rejected: str
    ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Preference:
    """A pair and the query that it answers.

    Attributes:
        cluster: of the query and of those nearly equal to it.
    """

    prompt: Prompt
    cluster: str
    pair: Pair


@dataclass(frozen=True)
class Window:
    """The turns whose responses are compared, and what was read of them.

    Attributes:
        inputs: versions of the tables.
        kept_away: training prompts that are none any more, by why.
    """

    turns: list[str]
    inputs: dict[str, int]
    kept_away: dict[str, int]
    preferences: list[Preference]


def preferences(flywheel: Flywheel, turn: Turn, *, task: str, lake: Lake, window: int, margin: float) -> Window:
    """The pairs of a task's training prompts in the ``window`` turns up to ``turn`` that have rewards.

    Raises:
        ConfigError: the flywheel has no such task.
        MissingInput: no turn has rewards.
        DataError: there are no pairs; the message says why.
    """
    if task not in flywheel.tasks:
        raise ConfigError(f"there is no task {task!r}", where="--task", mend=f"tasks: {', '.join(flywheel.tasks)}")
    inputs = {table.name: lake.version(table) or 0 for table in (PROMPTS, QUERIES, RESPONSES, REWARDS)}
    where: dict[str, Any] = {"flywheel": flywheel.name, "turn": _turns(lake, turn, window)}
    prompts = {
        row["query_id"]: row
        for row in sorted(lake.read(PROMPTS, **where, task=task).to_pylist(), key=lambda row: str(row["turn"]))
        if row["split"] == Split.TRAIN
    }
    away = exam.kept_away(lake, flywheel, turn, prompts)
    prompts = {query_id: row for query_id, row in prompts.items() if query_id not in away}
    judged = _judged(flywheel, task, lake, where, prompts)
    liked = _liked(lake, where, prompts)
    found = []
    # By the texts, as exploration and update: ids depend on an installation's key.
    for query_id in sorted(prompts, key=lambda one: (splits.messages_digest(prompts[one]["messages"]), one)):
        row = prompts[query_id]
        prompt = Prompt(query_id, task, tuple(row["messages"]))
        seen: set[frozenset[str]] = set()
        for pair in chain(liked.get(query_id, ()), _by_verdict(judged[query_id]), _by_reward(judged[query_id], margin)):
            texts = frozenset((pair.chosen, pair.rejected))
            if len(seen) < PER_QUERY and texts not in seen:  # users before verifiers, and these before rewards
                seen.add(texts)
                found.append(Preference(prompt, row["cluster"] or query_id, pair))
    if not found:
        raise DataError(_why_none(judged, margin), where=f"{turn.key}, task {task}", mend=_mend(judged))
    return Window(where["turn"], inputs, dict(Counter(reason.value for reason in away.values())), found)


def held_out(found: Sequence[Preference], seed: int) -> tuple[list[Preference], list[Preference]]:
    """Pairs to train on, and one pair of each query that is held out: a fifth of the queries, whole clusters of them.

    One of each, because several of one query would not be independent, and an interval over them too narrow.

    Raises:
        DataError: all pairs are of queries that are nearly equal.
    """
    clusters: dict[str, list[Preference]] = defaultdict(list)
    for preference in found:
        clusters[preference.cluster].append(preference)
    if len(clusters) < 2:
        raise DataError("all pairs are of one query", mend="widen the window: some queries are held out for the report")
    order = sorted(clusters.values(), key=lambda pairs: _drawn(seed, pairs[0]))
    wanted = max(1, round(HELD_OUT * len({preference.prompt.query_id for preference in found})))
    kept: dict[str, Preference] = {}
    while len(kept) < wanted and len(order) > 1:
        for preference in order.pop():
            kept.setdefault(preference.prompt.query_id, preference)
    return [preference for pairs in order for preference in pairs], list(kept.values())


@dataclass(frozen=True)
class _Response:
    """A response with what its scorers said: ``passes`` is None where no verifier decided."""

    response_id: str
    text: str
    whole: bool
    passes: bool | None
    reward: float | None

    @property
    def choosable(self) -> bool:
        return self.whole and self.reward != 0.0


def _turns(lake: Lake, turn: Turn, window: int) -> list[str]:
    have = lake.read(REWARDS, columns=["turn"], flywheel=turn.flywheel).column("turn").unique().to_pylist()
    before = sorted(key for key in have if key <= turn.key)
    if not before:
        raise MissingInput("no rewards of this turn or an earlier one", where=turn.key, mend="run score first")
    return before[-window:]


def _judged(
    flywheel: Flywheel, task: str, lake: Lake, where: Mapping[str, Any], prompts: Mapping[str, Any]
) -> dict[str, list[_Response]]:
    """The different answers to each query in the newest turn that has some, best first.

    Of one turn only: rewards of several are made by several calibrators, and responses of several have the same ids.
    """
    columns = ["turn", "response_id", "scores", "reward"]
    rewards = {(r["turn"], r["response_id"]): r for r in lake.read(REWARDS, columns=columns, **where).to_pylist()}
    columns = ["turn", "response_id", "query_id", "answer", "finish_reason"]
    found: dict[tuple[str, str], dict[str, _Response]] = defaultdict(dict)
    for row in sorted(lake.read(RESPONSES, columns=columns, **where).to_pylist(), key=lambda r: str(r["response_id"])):
        scored = rewards.get((row["turn"], row["response_id"]))
        if row["query_id"] in prompts and row["answer"] and scored is not None:
            passes = _passes(flywheel, task, dict(scored["scores"] or ()))
            whole = row["finish_reason"] == "stop"
            named = f"{row['turn']} {row['response_id']}"
            response = _Response(named, row["answer"], whole, passes, scored["reward"])
            found[row["turn"], row["query_id"]].setdefault(row["answer"], response)
    newest = {query_id: turn for turn, query_id in sorted(found)}
    ranked = {query_id: sorted(found[turn, query_id].values(), key=_rank) for query_id, turn in newest.items()}
    return defaultdict(list, ranked)


def _rank(response: _Response) -> tuple[float, str]:
    return -(response.reward if response.reward is not None else -1.0), splits.digest(response.text)


def _passes(flywheel: Flywheel, task: str, scores: Mapping[str, float]) -> bool | None:
    """What the verifiers say; where one of those that decide has a verdict, theirs alone counts."""
    verdicts: dict[bool, list[bool]] = {True: [], False: []}
    for config in flywheel.tasks[task].scorers:
        if config.name in scores and isinstance(config, Verifier):
            least = config.least or (0.5 if config.decides else 0.0)
            verdicts[config.decides].append(scores[config.name] >= least)
        elif config.name in scores and isinstance(config, OwnScorerConfig) and config.verifier:
            verdicts[False].append(scores[config.name] >= 1.0)
    counted = verdicts[True] or verdicts[False]
    return all(counted) if counted else None


def _liked(lake: Lake, where: Mapping[str, Any], prompts: Mapping[str, Any]) -> dict[str, list[Pair]]:
    """Of each query that users rated, responses that they liked before those that they did not."""
    told: dict[str, Counter[str]] = defaultdict(Counter)
    columns = ["query_id", "response", "feedback"]
    for row in lake.read(QUERIES, columns=columns, **where, feedback=["up", "down"]).to_pylist():
        if row["query_id"] in prompts and row["response"]:
            told[row["query_id"]][row["response"]] += 1 if row["feedback"] == "up" else -1
    return {
        query_id: [
            Pair(Source.FEEDBACK, chosen, rejected)
            for chosen, rejected in zip(
                sorted(text for text, votes in said.items() if votes > 0),
                sorted(text for text, votes in said.items() if votes < 0),
                strict=False,
            )
        ]
        for query_id, said in told.items()
    }


def _by_verdict(responses: Sequence[_Response]) -> Iterator[Pair]:
    """The best that pass against the best that don't: what is nearly right teaches most."""
    passed = [response for response in responses if response.passes and response.choosable]
    failed = [response for response in responses if response.passes is False]
    for chosen, rejected in zip(passed, failed, strict=False):
        yield Pair(Source.VERIFIER, chosen.text, rejected.text, (chosen.response_id, rejected.response_id))


def _by_reward(responses: Sequence[_Response], margin: float) -> Iterator[Pair]:
    """The best against the worst, the second against the last but one, while they differ by the margin."""
    ranked = [(response, response.reward) for response in responses if response.reward is not None]
    for (chosen, high), (rejected, low) in zip(ranked[: len(ranked) // 2], ranked[::-1], strict=False):
        if chosen.choosable and high - low >= margin:
            yield Pair(Source.REWARD, chosen.text, rejected.text, (chosen.response_id, rejected.response_id))


def _why_none(judged: Mapping[str, Sequence[_Response]], margin: float) -> str:
    every = [response for responses in judged.values() for response in responses]
    if not every:
        return "no response to a training prompt of this task was scored"
    if all(response.passes for response in every):
        return f"all {len(every)} responses pass: none is better than another by a margin of {margin:g}"
    if all(response.passes is False for response in every):
        return f"none of {len(every)} responses passes, and no rewards of a query differ by {margin:g}"
    return f"no query has two responses of which one is better; rewards must differ by {margin:g}"


def _mend(judged: Mapping[str, Sequence[_Response]]) -> str:
    return "widen --window, lower --margin, or add samples" if judged else "run generate and score, or widen --window"


def _drawn(seed: int, preference: Preference) -> str:
    digest = splits.messages_digest(preference.prompt.messages)
    return hashlib.sha256(f"{seed} {digest}".encode()).hexdigest()
