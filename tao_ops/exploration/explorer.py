"""Explores a shard's prompts: round by round, within the budget, and counts what it cost and found."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tao_ops import rewards, strategies
from tao_ops.config import Flywheel
from tao_ops.exploration.budget import Budget
from tao_ops.exploration.policy import Policy, Query, settled
from tao_ops.exploration.sampler import Response, Sample, Wanted, Way
from tao_ops.exploration.yields import Yield
from tao_ops.records import Candidate, Message, Progress, Prompt
from tao_ops.rewards import Calibrated, Scored, Setting, TaskScorers


@dataclass(frozen=True)
class Explored:
    """A task, as exploration needs it: how it is asked, and how its responses are scored, by what asks no model."""

    ways: Sequence[Way]
    scorers: TaskScorers
    calibrator: Calibrated | None = None


def explored(
    flywheel: Flywheel,
    task: str,
    *,
    seed: int,
    bootstrapped: Mapping[str, Sequence[Sequence[Message]]] | None = None,
    calibrator: Calibrated | None = None,
) -> Explored:
    """A task of a flywheel with its strategies, but for those that have no example yet.

    Args:
        calibrator: of an earlier turn; it is used where all scorers that it knows are asked here.

    Raises:
        ConfigError: a strategy cannot be built.
    """
    config = flywheel.tasks[task]
    built = strategies.build(flywheel, task, seed=seed, bootstrapped=bootstrapped or {})
    ways = [Way(one, built[one.name], one.longest(config.max_tokens)) for one in config.strategies if one.name in built]
    scorers = rewards.cheap(config.scorers)
    setting = Setting(flywheel.file(""), config.json_schema)
    asked = {one.name for one in scorers}
    usable = calibrator if calibrator is not None and set(calibrator.names) <= asked else None
    return Explored(ways, TaskScorers(scorers, setting), usable)


@dataclass(frozen=True)
class Rule:
    """When a query needs no more samples, and when a response passes.

    Attributes:
        confidence: with this probability the leading answer must be the majority.
        min_reward: a response passes from this reward on.
    """

    confidence: float
    min_reward: float


@dataclass
class Found:
    """What exploration brought.

    Attributes:
        scored: responses with their scores, query by query in the order of the prompts.
        yields: by task and strategy.
        settled: queries that needed no more samples.
        too_long: by strategy, responses that were not sampled: their conversation did not fit into the context.
        tokens: all that were sampled.
        rounds: how many rounds there were.
        short: queries that the budget kept from more samples.
    """

    scored: list[tuple[Response, Scored]] = field(default_factory=list)
    yields: dict[str, dict[str, Yield]] = field(default_factory=dict)
    settled: int = 0
    too_long: Counter[str] = field(default_factory=Counter)
    tokens: int = 0
    rounds: int = 0
    short: int = 0

    @property
    def responses(self) -> list[Response]:
        """The responses alone."""
        return [response for response, _ in self.scored]


def explore(
    prompts: Sequence[Prompt],
    tasks: Mapping[str, Explored],
    *,
    sampled: Sample,
    policy: Policy,
    budget: Budget,
    rule: Rule,
    say: Progress = print,
) -> Found:
    """Sample until every query is settled or has all its samples, or the budget is spent.

    Each round is scored by the task's own scorers, so that ``policy`` knows where more samples may help.

    Args:
        prompts: longest first, as the engine takes them.
        tasks: by name.
        sampled: samples a round's responses.
        policy: who is asked next.
        budget: what may be spent; it is used up.
        rule: when a query needs no more samples, and when a response passes.
    """
    queries = {prompt.query_id: Query(prompt, tasks[prompt.task].ways) for prompt in prompts}
    found = Found()
    while wanted := policy.wanted(found.rounds + 1, list(queries.values()), budget, found.yields):
        found.rounds += 1
        asked = len({one.prompt.query_id for one in wanted})
        say(f"round {found.rounds}: {len(wanted)} samples of {asked} queries")
        for query in _sample(sampled, wanted, queries, budget, found):
            _score(query, tasks[query.prompt.task], rule)
        found.yields = _yields(queries.values(), rule)
        found.settled = sum(query.settled for query in queries.values())
        say(f"{found.settled} of {len(queries)} queries settled, {found.tokens:,} tokens so far")
    found.scored = [pair for query in queries.values() for pair in zip(query.responses, query.scored, strict=True)]
    found.short = sum(not query.settled and bool(query.open_ways()) for query in queries.values())
    return found


def _sample(
    sampled: Sample, wanted: Sequence[Wanted], queries: Mapping[str, Query], budget: Budget, found: Found
) -> list[Query]:
    """Sample a round; returns the queries that it brought something for."""
    responses, too_long, tokens = sampled(wanted)
    for response in responses:
        queries[response.wanted.prompt.query_id].responses.append(response)
    for one in too_long:
        queries[one.prompt.query_id].closed.add(one.way.name)
        found.too_long[one.way.name] += 1
    found.tokens += tokens
    budget.give_back(tokens=sum(one.way.bound for one in wanted) - tokens, samples=len(too_long))
    return [queries[query_id] for query_id in {one.prompt.query_id: None for one in wanted}]


def _score(query: Query, task: Explored, rule: Rule) -> None:
    prompt = query.prompt
    batch = [
        Candidate(prompt.query_id, prompt.text, response.answer, response.wanted.way.name, prompt.context)
        for response in query.responses
    ]
    query.scored = task.scorers.score(batch, calibrator=task.calibrator)
    query.settled = settled(
        [one.answer for one in query.scored], [one.verified for one in query.scored], rule.confidence
    )


def _yields(queries: Iterable[Query], rule: Rule) -> dict[str, dict[str, Yield]]:
    found: dict[str, dict[str, Yield]] = {}
    for query in queries:
        mine = found.setdefault(query.prompt.task, {})
        for response, scored in zip(query.responses, query.scored, strict=True):
            name = response.wanted.way.name
            # One that no scorer could judge has cost its tokens, and says nothing of the strategy.
            worth = scored.reward
            one = (
                Yield(1, response.tokens, worth >= rule.min_reward, worth)
                if worth is not None
                else Yield(tokens=response.tokens)
            )
            mine[name] = mine.get(name, Yield()).plus(one)
    return found
