"""The gate's rule: two reports → a verdict. Pure: no files, no clock, and the same reports give the same verdict.

Guards come first: another architecture, parameter count or dtype is rejected, whatever the scores. Then, with
``delta`` the mean difference of candidate and champion over the same items, its interval at confidence
``1 - alpha``, and two-sided p values corrected over all benchmarks by Holm's procedure:

* reject: the primary is significantly lower, or another benchmark is significantly lower and by more than
  ``tolerance``.
* promote: the primary is significantly higher and by more than ``margin``, and every other benchmark is shown to be
  not worse: the whole interval of its difference lies above ``-tolerance``. That is the usual reading of
  non-inferiority (two one-sided 2.5 % tests at the default ``alpha``): "no drop was found" is not enough, a drop must
  have been excluded. Each of them must hold, so no correction is due there.
* undecided: everything else. The champion stays.

Without a true difference the primary alone is promoted at most with probability ``alpha / 2``.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from tao_ops.benchmarks import paired
from tao_ops.benchmarks.paired import Paired
from tao_ops.config import GateConfig
from tao_ops.errors import IncomparableReports
from tao_ops.models import ModelFacts


class Decision(StrEnum):
    """What the gate says of a candidate."""

    PROMOTE = "promote"
    """The candidate is better on the primary benchmark and worse on none."""
    REJECT = "reject"
    """The candidate is worse somewhere, or breaks a guard."""
    UNDECIDED = "undecided"
    """The data cannot tell; the champion stays."""


@dataclass(frozen=True)
class Verdict:
    """A decision and its reasons, each a sentence with its figures."""

    decision: Decision
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class BenchmarkScores:
    """One model's score on each item of one benchmark.

    Attributes:
        items: score in [0, 1] by item_id.
        prompt_digest: the production prompt that was asked with.
        decoding_digest: how responses were decoded.
    """

    name: str
    version: str
    metric: str
    primary: bool
    items: Mapping[str, float]
    prompt_digest: str = ""
    decoding_digest: str = ""


@dataclass(frozen=True)
class Report:
    """All that the rule needs to know of one model."""

    facts: ModelFacts
    benchmarks: Mapping[str, BenchmarkScores]
    engine: str = ""


def decide(
    config: GateConfig,
    *,
    champion: Report,
    candidate: Report,
    seed: int = 0,
    resamples: int = paired.RESAMPLES,
) -> Verdict:
    """Judge ``candidate`` against ``champion``.

    Raises:
        IncomparableReports: they are of other benchmarks, versions, items, prompts, decoding or engines, or hold a
            score that is no number in [0, 1].
    """
    _comparable(champion, candidate)
    if champion.facts.model_version == candidate.facts.model_version:
        same = f"the candidate is the champion itself ({champion.facts.model_version}): there is nothing to compare"
        return Verdict(Decision.UNDECIDED, (same,))
    if broken := _guards(champion.facts, candidate.facts):
        return Verdict(Decision.REJECT, broken)
    found = _findings(config, champion, candidate, seed, resamples)
    reasons = tuple(sentence for _, sentence in found)
    decisions = [decision for decision, _ in found]
    for decision in (Decision.REJECT, Decision.UNDECIDED):
        if decision in decisions:
            return Verdict(decision, reasons)
    return Verdict(Decision.PROMOTE, reasons)


def _findings(
    config: GateConfig, champion: Report, candidate: Report, seed: int, resamples: int
) -> list[tuple[Decision, str]]:
    """What each benchmark says, the primary first."""
    order = sorted(champion.benchmarks, key=lambda name: (not champion.benchmarks[name].primary, name))
    pairs = [
        _pair(champion.benchmarks[name], candidate.benchmarks[name], config.alpha, seed, resamples) for name in order
    ]
    label = "p" if len(pairs) == 1 else f"p (corrected for {len(pairs)} benchmarks)"
    found = []
    for name, pair, p in zip(order, pairs, paired.holm([pair.p_value for pair in pairs]), strict=True):
        decision, says = _judge(config, pair, p, primary=champion.benchmarks[name].primary)
        interval = f"{1 - config.alpha:.0%} interval [{_points(pair.low)}, {_points(pair.high)}]"
        figures = f"{name}: {_points(pair.delta)} over {pair.n} items, {interval}, {label} = {p:.2g}"
        found.append((decision, f"{figures}: {says}"))
    return found


def _judge(config: GateConfig, pair: Paired, p: float, *, primary: bool) -> tuple[Decision, str]:
    """What one benchmark says: PROMOTE where it has nothing against a promotion."""
    significant = p < config.alpha
    if primary:
        if significant and pair.delta > config.margin:
            more = f" (more than {_points(config.margin)} is asked for)" if config.margin else ""
            return Decision.PROMOTE, f"better{more}"
        if significant and pair.delta < 0:
            return Decision.REJECT, "worse"
        if significant:
            return Decision.UNDECIDED, f"better, but not by more than {_points(config.margin)}"
        return Decision.UNDECIDED, f"no difference shown; {_needed(pair.delta, pair, config.alpha)}"
    if significant and pair.delta < -config.tolerance:
        return Decision.REJECT, f"worse, by more than {_points(config.tolerance, sign=False)}"
    if pair.low > -config.tolerance:
        return Decision.PROMOTE, f"not worse (a drop of {_points(config.tolerance, sign=False)} is excluded)"
    room = pair.delta + config.tolerance
    needed = _needed(room if room > 0 else pair.delta, pair, config.alpha)
    open_ = f"a drop of more than {_points(config.tolerance, sign=False)} is not excluded"
    return Decision.UNDECIDED, f"{open_}; {needed}"


def _needed(distance: float, pair: Paired, alpha: float) -> str:
    items = paired.items_to_decide(distance, pair.deviation, alpha=alpha)
    if items is None:
        return "the scores differ too little to say how many items would decide"
    return f"about {max(items, pair.n + 1):,} items would decide, if the difference is what it seems"


def _points(share: float, *, sign: bool = True) -> str:
    return f"{100 * share:{'+' if sign else ''}.1f} points"


def _pair(champion: BenchmarkScores, candidate: BenchmarkScores, alpha: float, seed: int, resamples: int) -> Paired:
    items = sorted(champion.items)
    return paired.compare(
        [champion.items[item] for item in items],
        [candidate.items[item] for item in items],
        alpha=alpha,
        seed=seed,
        resamples=resamples,
    )


def _guards(champion: ModelFacts, candidate: ModelFacts) -> tuple[str, ...]:
    """Sentences on what would change the cost of inference."""
    named = {"architecture": "architecture", "parameters": "number of parameters", "dtype": "dtype"}
    return tuple(
        f"the candidate's {words} is {getattr(candidate, name)}, the champion's {getattr(champion, name)}:"
        " a promotion must not change it"
        for name, words in named.items()
        if getattr(candidate, name) != getattr(champion, name)
    )


def _comparable(champion: Report, candidate: Report) -> None:
    mend = "run evaluate again"
    if champion.engine != candidate.engine:
        raise IncomparableReports(f"engines differ: {champion.engine} and {candidate.engine}", mend=mend)
    if set(champion.benchmarks) != set(candidate.benchmarks):
        names = [", ".join(sorted(report.benchmarks)) for report in (champion, candidate)]
        raise IncomparableReports(f"benchmarks differ: {names[0]} and {names[1]}", mend=mend)
    if sum(scores.primary for scores in champion.benchmarks.values()) != 1:
        raise IncomparableReports("exactly one benchmark must be primary", mend="mark it in the flywheel's YAML")
    for name, scores in champion.benchmarks.items():
        other = candidate.benchmarks[name]
        for key in ("version", "metric", "primary", "prompt_digest", "decoding_digest"):
            if getattr(scores, key) != getattr(other, key):
                raise IncomparableReports(
                    f"{key} differs: {getattr(scores, key)} and {getattr(other, key)}", where=name, mend=mend
                )
        if unpaired := set(scores.items) ^ set(other.items):
            raise IncomparableReports(
                f"{len(unpaired)} items have one score only, {min(unpaired)} among them",
                where=name,
                mend=mend,
            )
        if not scores.items:
            raise IncomparableReports("no items", where=name, mend=mend)
        for report in (scores, other):
            _numbers(report)


def _numbers(scores: BenchmarkScores) -> None:
    for item, score in scores.items.items():
        if not (math.isfinite(score) and 0 <= score <= 1):
            raise IncomparableReports(
                f"the score of item {item} is {score}, not a number from 0 to 1",
                where=scores.name,
                mend="mend the metric and run evaluate again",
            )


__all__ = ["BenchmarkScores", "Decision", "Report", "Verdict", "decide"]
