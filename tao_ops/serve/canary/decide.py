"""What both arms' counts say of a canary: it goes on, it is a breach, it grows, or it ends."""

import math
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from tao_ops.config.serve import CanaryConfig
from tao_ops.serve.canary import evidence
from tao_ops.serve.canary.counts import Counts, quantile
from tao_ops.serve.canary.evidence import Share

SHARES = {
    "errors": ("errors", "requests"),
    "refusals": ("refused", "judged"),
    "invalid": ("invalid", "formatted"),
    "incorrect": ("incorrect", "verified"),
}
"""By limit the counts that it is about, and of how many."""
MEASURES = len(SHARES) + 2
"""The level of a canary is split evenly between them: shares, seconds and lengths."""


class Outcome(StrEnum):
    """What a look at a canary comes to."""

    GOES_ON = "goes_on"
    """Nothing speaks against the candidate, but not enough was seen."""
    BREACH = "breach"
    """The candidate is worse than a limit allows: it is taken back."""
    GROW = "grow"
    """Enough was seen, and nothing speaks against it: it becomes the champion."""
    ENDS = "ends"
    """Not enough was seen in the time that it has: the champion stays."""


@dataclass(frozen=True)
class Look:
    """An :class:`Outcome`, and in a sentence or more why."""

    outcome: Outcome
    why: str


def decide(config: CanaryConfig, *, champion: Counts, candidate: Counts, elapsed: timedelta) -> Look:
    """Look at a canary; any number of looks, at any times, are free.

    The chance that a candidate that keeps all limits is ever taken back is at most ``limits.alpha``. That nothing
    speaks against a candidate is no proof that it keeps them: few requests show gross faults only.

    Args:
        champion: the sums over all servers since the canary began.
        candidate: likewise, shadows included.
    """
    if (broken := breach(config, champion, candidate)) is not None:
        return Look(Outcome.BREACH, broken)
    missing = [
        f"{arm}: {counts.requests:,} of {config.requests:,} requests"
        for arm, counts in (("candidate", candidate), ("champion", champion))
        if counts.requests < config.requests
    ]
    if elapsed >= config.limit and missing:
        return Look(Outcome.ENDS, f"not enough requests within {config.limit}: {'; '.join(missing)}")
    if elapsed < config.time:
        missing.append(f"{_rounded(elapsed)} of {config.time}")
    if missing:
        return Look(Outcome.GOES_ON, f"not enough yet: {'; '.join(missing)}")
    return Look(Outcome.GROW, f"no limit is broken: {figures(champion, candidate)}")


def breach(config: CanaryConfig, champion: Counts, candidate: Counts) -> str | None:
    """The sentence on the first limit that is broken; None where none is."""
    limits, level = config.limits, config.limits.alpha / MEASURES
    enough = -math.log(level)
    for name in SHARES:
        mine, theirs = _share(candidate, name), _share(champion, name)
        margin = float(getattr(limits, name))
        if (found := evidence.of_share(theirs, mine, margin)) >= enough:
            allowed = f"the champion's and {100 * margin:g} points" if margin else "the champion's"
            return f"{name}: {_told(mine)}, champion {_told(theirs)}; the limit is {allowed} ({_odds(found)})"
    found = evidence.of_seconds(champion.seconds, candidate.seconds, limits.slower)
    if candidate.seconds and champion.seconds and found >= enough:
        slow, before = quantile(candidate.seconds, 0.95), quantile(champion.seconds, 0.95)
        return (
            f"slower: 95 % of the responses within {slow:.3g} s, champion {before:.3g} s; the limit is "
            f"{limits.slower:g} times that ({_odds(found)})"
        )
    if evidence.longer(_moments(champion), _moments(candidate), limits.longer, level, config.requests):
        long, before = _mean(candidate), _mean(champion)
        return f"longer: {long:.1f} tokens a response, champion {before:.1f}; the limit is {limits.longer:g} times that"
    return None


def figures(champion: Counts, candidate: Counts) -> str:
    """Both arms beside each other, in one line."""
    told = [
        f"{name} {_told(_share(candidate, name))}, champion {_told(_share(champion, name))}"
        for name in SHARES
        if _share(candidate, name).trials or _share(champion, name).trials
    ]
    if candidate.seconds and champion.seconds:
        slow, before = quantile(candidate.seconds, 0.95), quantile(champion.seconds, 0.95)
        told.append(f"95 % within {slow:.3g} s, champion {before:.3g} s")
    if candidate.answers and champion.answers:
        told.append(f"{_mean(candidate):.1f} tokens a response, champion {_mean(champion):.1f}")
    return "; ".join(told) or "nothing was asked"


def _share(counts: Counts, name: str) -> Share:
    hits, trials = SHARES[name]
    return Share(getattr(counts, hits), getattr(counts, trials))


def _told(share: Share) -> str:
    return f"{100 * share.observed:.1f} % of {share.trials:,}"


def _odds(found: float) -> str:
    return "evidence 1,000,000 to 1 or more" if found > math.log(1e6) else f"evidence {math.exp(found):,.0f} to 1"


def _moments(counts: Counts) -> tuple[int, int, int]:
    return counts.answers, counts.tokens, counts.squares


def _mean(counts: Counts) -> float:
    return counts.tokens / counts.answers


def _rounded(elapsed: timedelta) -> timedelta:
    return timedelta(seconds=int(elapsed.total_seconds()))
