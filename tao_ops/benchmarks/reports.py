"""What the gate's rule is told of one model, and whether two models can be compared at all."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tao_ops.errors import IncomparableReports
from tao_ops.models import ModelFacts

EMPTY, TRUNCATED, REPEATED = "empty", "truncated", "repeated"
"""Flags of an output: it says nothing, was cut off at the longest, or repeats itself."""

_AS_ONE = ("version", "metric", "primary", "prompt_digest", "decoding_digest")
_AGAIN = "run evaluate again"


@dataclass(frozen=True)
class Output:
    """What is known of one output besides its score.

    Attributes:
        tokens: sampled; None where it was not recorded.
        flags: of :data:`EMPTY`, :data:`TRUNCATED`, :data:`REPEATED`.
        reward: what the flywheel's own scorers, which know no reference, give it; None where they don't decide.
    """

    tokens: int | None = None
    flags: Sequence[str] = ()
    reward: float | None = None


@dataclass(frozen=True)
class Fall:
    """A kind of probe, an answer that no scorer should like, that a scorer of the candidate's reward fell for.

    Attributes:
        task: whose scorer it is.
        probe: the kind, and its variant where one alone was liked so much.
        share: of ``comparisons`` with the honest answer to the same query, those in which it got at least as much.
        turn: the one whose rewards the scorer has a part in.
    """

    task: str
    scorer: str
    probe: str
    share: float
    comparisons: int
    turn: str


@dataclass(frozen=True)
class BenchmarkScores:
    """One model's score on each item of one benchmark.

    Attributes:
        items: score in [0, 1] by item_id.
        prompt_digest: the production prompt that was asked with.
        decoding_digest: how responses were decoded.
        slices: item_ids by slice, ``column=value``; only those that the YAML declares.
        outputs: by item_id; empty where nothing but the scores was stored.
    """

    name: str
    version: str
    metric: str
    primary: bool
    items: Mapping[str, float]
    prompt_digest: str = ""
    decoding_digest: str = ""
    task: str = ""
    slices: Mapping[str, Sequence[str]] = field(default_factory=dict)
    outputs: Mapping[str, Output] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """All that the rule needs to know of one model.

    Attributes:
        engine: who answered.
        seconds_a_token: None where it was not timed beside the other model.
        contaminated: benchmark items that it was trained on.
        fallen: what the scorers fell for whose rewards it was trained on.
    """

    facts: ModelFacts
    benchmarks: Mapping[str, BenchmarkScores]
    engine: str = ""
    seconds_a_token: float | None = None
    contaminated: int = 0
    fallen: Sequence[Fall] = ()


def check_comparable(champion: Report, candidate: Report) -> None:
    """See that both were asked the same items in the same way, and that every score is one.

    Raises:
        IncomparableReports: they are of other benchmarks, versions, items, prompts, decoding or engines, or hold a
            score that is no number in [0, 1], or a reward that is no number.
    """
    if champion.engine != candidate.engine:
        raise IncomparableReports(f"engines differ: {champion.engine} and {candidate.engine}", mend=_AGAIN)
    if set(champion.benchmarks) != set(candidate.benchmarks):
        names = [", ".join(sorted(report.benchmarks)) for report in (champion, candidate)]
        raise IncomparableReports(f"benchmarks differ: {names[0]} and {names[1]}", mend=_AGAIN)
    if sum(scores.primary for scores in champion.benchmarks.values()) != 1:
        raise IncomparableReports("exactly one benchmark must be primary", mend="mark it in the flywheel's YAML")
    for name, scores in champion.benchmarks.items():
        _check_items(name, scores, candidate.benchmarks[name])


def _check_items(name: str, champion: BenchmarkScores, candidate: BenchmarkScores) -> None:
    for key in _AS_ONE:
        if getattr(champion, key) != getattr(candidate, key):
            raise IncomparableReports(
                f"{key} differs: {getattr(champion, key)} and {getattr(candidate, key)}", where=name, mend=_AGAIN
            )
    if unpaired := set(champion.items) ^ set(candidate.items):
        raise IncomparableReports(
            f"{len(unpaired)} items have one score only, {min(unpaired)} among them", where=name, mend=_AGAIN
        )
    if not champion.items:
        raise IncomparableReports("no items", where=name, mend=_AGAIN)
    for scores in (champion, candidate):
        _check_numbers(name, scores)


def _check_numbers(name: str, scores: BenchmarkScores) -> None:
    for item, score in scores.items.items():
        if not (math.isfinite(score) and 0 <= score <= 1):
            raise IncomparableReports(
                f"the score of item {item} is {score}, not a number from 0 to 1",
                where=name,
                mend="mend the metric and run evaluate again",
            )
    for item, output in scores.outputs.items():
        if output.reward is not None and not math.isfinite(output.reward):
            raise IncomparableReports(
                f"the reward of item {item} is {output.reward}, not a number",
                where=name,
                mend="mend the scorer and run evaluate again",
            )
