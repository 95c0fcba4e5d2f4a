"""The gate's rule: two reports → a verdict. Pure: no files, no clock, and the same reports give the same verdict.

With ``delta`` the mean difference of candidate and champion over the same items, its interval at confidence
``1 - alpha``, and two-sided p values corrected over all benchmarks by Holm's procedure:

* reject: a guard is broken (``guards.py``), the primary is significantly lower, another benchmark is significantly
  lower and by more than ``tolerance``, or a declared slice of any benchmark is (one-sided p values of a drop, corrected
  by Holm's procedure over the benchmark's slices): a mean that rose hides no slice that fell. All at ``alpha``: a
  rejection leaves the champion where it is, so it need not be rare over a whole month.
* promote: the primary is significantly higher, at ``spending.level(alpha, test)``, and by more than ``margin``, and
  every other benchmark is shown to be not worse: the whole interval of its difference lies above ``-tolerance``. That
  is the usual reading of non-inferiority (two one-sided 2.5 % tests at the default ``alpha``): "no drop was found" is
  not enough, a drop must have been excluded. Each of them must hold, so no correction is due there.
* undecided: everything else. The champion stays.

``test`` counts the candidates tested against this champion in this calendar month. Their levels add up to ``alpha``,
so that without a true difference chance promotes any of them at most with probability ``alpha / 2`` (the other half
is of drops). A slice of fewer than ten items is named and not judged.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tao_ops.benchmarks import guards, paired, spending
from tao_ops.benchmarks.findings import Decision, Finding, compare, figures, finding, items_needed, points
from tao_ops.benchmarks.paired import Paired
from tao_ops.benchmarks.reports import BenchmarkScores, Report, check_comparable
from tao_ops.config import GateConfig

LEAST_ITEMS = 10
"""Items of a slice, at least, for it to be judged."""
_NAMED = 5


@dataclass(frozen=True)
class Verdict:
    """A decision, its reasons, each a sentence with its figures, and the findings behind them, for tables."""

    decision: Decision
    reasons: tuple[str, ...]
    findings: tuple[Finding, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        found = [one.as_dict() for one in self.findings]
        return {"decision": self.decision.value, "reasons": list(self.reasons), "findings": found}


def decide(
    config: GateConfig,
    *,
    champion: Report,
    candidate: Report,
    test: int = 1,
    seed: int = 0,
    resamples: int = paired.RESAMPLES,
) -> Verdict:
    """Judge ``candidate``, the ``test``-th against ``champion`` in this month.

    Raises:
        IncomparableReports: they are of other benchmarks, versions, items, prompts, decoding or engines, or hold a
            score that is no number in [0, 1], or a reward that is no number.
        ValueError: ``test`` is less than 1.
    """
    check_comparable(champion, candidate)
    level = spending.level(config.alpha, test)
    if champion.facts.model_version == candidate.facts.model_version:
        same = f"the candidate is the champion itself ({champion.facts.model_version}): there is nothing to compare"
        return Verdict(Decision.UNDECIDED, (same,))
    draws = {"seed": seed, "resamples": resamples}
    broken = guards.broken(config.guards, champion=champion, candidate=candidate, alpha=config.alpha, **draws)
    whole = _benchmarks(config, champion, candidate, level=level, test=test, **draws)
    slices = [
        _slices(config, champion.benchmarks[one.benchmark], candidate.benchmarks[one.benchmark], **draws)
        for one in whole
    ]
    findings = (*whole, *(one for found, _ in slices for one in found))
    reasons = (*broken, *(one.sentence for one in whole), *(reason for _, said in slices for reason in said))
    return Verdict(Decision.REJECT if broken else _worst(findings), reasons, findings)


def _worst(findings: Sequence[Finding]) -> Decision:
    decisions = {one.decision for one in findings}
    return next((one for one in (Decision.REJECT, Decision.UNDECIDED) if one in decisions), Decision.PROMOTE)


def _benchmarks(
    config: GateConfig, champion: Report, candidate: Report, *, level: float, test: int, seed: int, resamples: int
) -> list[Finding]:
    """What each benchmark says, the primary first."""
    order = sorted(champion.benchmarks, key=lambda name: (not champion.benchmarks[name].primary, name))
    pairs = [
        compare(champion.benchmarks[name], candidate.benchmarks[name], None, config.alpha, seed, resamples)
        for name in order
    ]
    corrected = paired.holm([pair.p_value for pair in pairs])
    found = []
    for name, pair, p in zip(order, pairs, corrected, strict=True):
        told = f"{name}: {figures(pair, p, alpha=config.alpha, notes=_corrected(len(pairs), 'benchmarks'))}"
        if not champion.benchmarks[name].primary:
            at, (decision, says, needed) = config.alpha, _other(config, pair, p)
        elif pair.delta > 0:
            at, (decision, says, needed) = level, _gain(config, pair, p, level, of=len(pairs))
            told += f", level {level:.2g} (the {_nth(test)} candidate against this champion this month)"
        else:
            at, (decision, says, needed) = config.alpha, _loss(config, pair, p)
        found.append(finding(name, "", pair, pair.p_value, p, at, decision, f"{told}: {says}", needed))
    return found


_Says = tuple[Decision, str, int | None]


def _gain(config: GateConfig, pair: Paired, p: float, level: float, *, of: int) -> _Says:
    """The primary seems better."""
    if p < level and pair.delta > config.margin:
        more = f" (more than {points(config.margin)} is asked for)" if config.margin else ""
        return Decision.PROMOTE, f"better{more}", None
    if p < level:
        return Decision.UNDECIDED, f"better, but not by more than {points(config.margin)}", None
    # At worst the primary's p is the one that Holm's procedure multiplies by the number of benchmarks.
    told, needed = items_needed(pair.delta, pair, level / of)
    shown = "a gain is not shown at this level" if p < config.alpha else "no difference shown"
    return Decision.UNDECIDED, f"{shown}; {told}", needed


def _loss(config: GateConfig, pair: Paired, p: float) -> _Says:
    """The primary seems worse, or the same."""
    if p < config.alpha and pair.delta < 0:
        return Decision.REJECT, "worse", None
    told, needed = items_needed(pair.delta, pair, config.alpha)
    return Decision.UNDECIDED, f"no difference shown; {told}", needed


def _other(config: GateConfig, pair: Paired, p: float) -> _Says:
    """A benchmark that is not the primary: it must be shown not to be worse."""
    limit = points(config.tolerance, sign=False)
    if p < config.alpha and pair.delta < -config.tolerance:
        return Decision.REJECT, f"worse, by more than {limit}", None
    if pair.low > -config.tolerance:
        return Decision.PROMOTE, f"not worse (a drop of {limit} is excluded)", None
    room = pair.delta + config.tolerance
    told, needed = items_needed(room if room > 0 else pair.delta, pair, config.alpha)
    return Decision.UNDECIDED, f"a drop of more than {limit} is not excluded; {told}", needed


def _slices(
    config: GateConfig, champion: BenchmarkScores, candidate: BenchmarkScores, *, seed: int, resamples: int
) -> tuple[list[Finding], list[str]]:
    """What each slice of one benchmark says, and the reasons that are worth a sentence."""
    items = {name: sorted(set(of) & set(champion.items)) for name, of in sorted(candidate.slices.items())}
    large = {name: of for name, of in items.items() if len(of) >= LEAST_ITEMS}
    pairs = [compare(champion, candidate, of, config.alpha, seed, resamples) for of in large.values()]
    found, limit = [], points(config.tolerance, sign=False)
    notes = ["of a drop", *_corrected(len(pairs), "slices")]
    for name, pair, p in zip(large, pairs, paired.holm([pair.p_drop for pair in pairs]), strict=True):
        fell = p < config.alpha and pair.delta < -config.tolerance
        says = f"worse, by more than {limit}" if fell else f"not shown to be worse by more than {limit}"
        told = f"{champion.name}, {name}: {figures(pair, p, alpha=config.alpha, notes=notes)}"
        decision = Decision.REJECT if fell else Decision.PROMOTE
        found.append(finding(champion.name, name, pair, pair.p_drop, p, config.alpha, decision, f"{told}: {says}"))
    reasons = [one.sentence for one in found if one.decision is Decision.REJECT]
    if found and not reasons:
        reasons = [f"{champion.name}: of {len(found)} slices none is shown to be worse by more than {limit}"]
    if small := [f"{name} ({len(of)})" for name, of in items.items() if name not in large]:
        more = f" and {len(small) - _NAMED} others" if len(small) > _NAMED else ""
        named = ", ".join(small[:_NAMED])
        reasons.append(f"{champion.name}: too few items to judge a slice (at least {LEAST_ITEMS}): {named}{more}")
    return found, reasons


def _corrected(many: int, what: str) -> list[str]:
    return [f"corrected for {many} {what}"] if many > 1 else []


def _nth(k: int) -> str:
    ending = "th" if 10 <= k % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(k % 10, "th")
    return f"{k}{ending}"


__all__ = ["Decision", "Finding", "Verdict", "decide"]
