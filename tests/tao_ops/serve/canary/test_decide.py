"""A canary goes on until enough was seen; what is worse is taken back, what is not is let be."""

from collections import Counter
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from tao_ops.config.serve import CanaryConfig
from tao_ops.serve.canary.counts import Counts, bucket
from tao_ops.serve.canary.decide import Outcome, breach, decide

HOUR = timedelta(hours=1)
CONFIG = CanaryConfig()


def counts(requests: int, **told: Any) -> Counts:
    base = {"answers": requests, "tokens": 30 * requests, "squares": 1000 * requests, "judged": requests}
    return Counts(**{"requests": requests, "seconds": Counter({40: requests}), **base, **told})


def test_it_goes_on_until_both_arms_were_asked_enough_for_long_enough() -> None:
    enough, few = counts(1800), counts(199)
    look = decide(CONFIG, champion=enough, candidate=few, elapsed=2 * HOUR)
    assert (look.outcome, look.why) == (Outcome.GOES_ON, "not enough yet: candidate: 199 of 200 requests")
    look = decide(CONFIG, champion=enough, candidate=counts(200), elapsed=HOUR / 2)
    assert (look.outcome, look.why) == (Outcome.GOES_ON, "not enough yet: 0:30:00 of 1:00:00")
    look = decide(CONFIG, champion=counts(3), candidate=counts(200), elapsed=HOUR)
    assert "champion: 3 of 200 requests" in look.why  # there is nothing to compare with
    look = decide(CONFIG, champion=enough, candidate=counts(200), elapsed=HOUR)
    assert look.outcome is Outcome.GROW
    assert "errors 0.0 % of 200, champion 0.0 % of 1,800" in look.why and "30.0 tokens a response" in look.why


def test_what_was_asked_too_little_ends_at_its_limit() -> None:
    look = decide(CONFIG, champion=Counts(), candidate=Counts(), elapsed=timedelta(hours=24))
    assert look.outcome is Outcome.ENDS
    assert look.why == (
        "not enough requests within 1 day, 0:00:00: candidate: 0 of 200 requests; champion: 0 of 200 requests"
    )
    late = decide(CONFIG, champion=counts(200), candidate=counts(200), elapsed=timedelta(days=3))
    assert late.outcome is Outcome.GROW


@pytest.mark.parametrize(
    ("worse", "says"),
    [
        ({"errors": 15}, "errors: 10.0 % of 150, champion 0.0 % of 1,800; the limit is the champion's (evidence"),
        ({"refused": 40}, "refusals: 26.7 % of 150, champion 0.0 % of 1,800; the limit is the champion's and 2 points"),
        ({"formatted": 150, "invalid": 40}, "invalid: 26.7 % of 150"),
        ({"verified": 150, "incorrect": 60}, "incorrect: 40.0 % of 150, champion 10.0 % of 1,800"),
        ({"seconds": Counter({70: 150})}, "slower: 95 % of the responses within 4.31 s, champion 0.32 s"),
        ({"tokens": 150 * 100, "squares": 150 * 10100}, "longer: 100.0 tokens a response, champion 30.0; the limit is"),
    ],
)
def test_a_breach_is_seen_before_the_time_is_over_and_says_what_broke(worse: dict[str, Any], says: str) -> None:
    champion = counts(1800, formatted=1800, verified=1800, incorrect=180)
    candidate = counts(150, formatted=150, verified=150, incorrect=15)
    assert decide(CONFIG, champion=champion, candidate=candidate, elapsed=HOUR / 6).outcome is Outcome.GOES_ON
    look = decide(CONFIG, champion=champion, candidate=counts(150, **worse), elapsed=HOUR / 6)
    assert look.outcome is Outcome.BREACH and look.why.startswith(says), look.why


def test_one_bad_answer_is_no_breach() -> None:
    look = decide(CONFIG, champion=counts(90), candidate=counts(10, errors=1), elapsed=HOUR / 6)
    assert look.outcome is Outcome.GOES_ON


def _trial(rng: np.random.Generator, *, requests: int, **arms: tuple[float, float]) -> str | None:
    """A canary of a tenth of the users, looked at after every 25 requests of the candidate."""
    both, size = (Counts(), Counts()), 250
    for _ in range(0, 10 * requests, size):
        arm = (rng.random(size) < 0.1).astype(int)
        hits = {name: rng.random(size) < np.array(share)[arm] for name, share in arms.items() if name not in ("s", "t")}
        seconds = np.array(arms["s"])[arm] * rng.lognormal(0.0, 0.5, size)
        tokens = (np.array(arms["t"])[arm] * rng.lognormal(4.0, 0.8, size)).astype(int)
        for number, each in enumerate(both):
            mine = arm == number
            n = int(mine.sum())
            each.requests, each.answers, each.judged = each.requests + n, each.answers + n, each.judged + n
            each.formatted, each.verified = each.formatted + n, each.verified + n
            for name, hit in hits.items():
                setattr(each, name, getattr(each, name) + int(hit[mine].sum()))
            each.tokens, each.squares = (
                each.tokens + int(tokens[mine].sum()),
                each.squares + int((tokens[mine] ** 2).sum()),
            )
            each.seconds.update(bucket(one) for one in seconds[mine])
        if (broken := breach(CONFIG, both[0], both[1])) is not None:
            return broken.split(":")[0]
    return None


SAME = {
    "errors": (0.01, 0.01),
    "refused": (0.02, 0.02),
    "invalid": (0.02, 0.02),
    "incorrect": (0.2, 0.2),
    "s": (1.0, 1.0),
    "t": (1.0, 1.0),
}
AT_THE_LIMITS = {
    **SAME,
    "refused": (0.02, 0.04),
    "invalid": (0.02, 0.04),
    "incorrect": (0.2, 0.22),
    "s": (1.0, 1.5),
    "t": (1.0, 1.5),
}


@pytest.mark.parametrize("arms", [SAME, AT_THE_LIMITS])
def test_a_candidate_that_keeps_the_limits_is_not_taken_back(arms: dict[str, tuple[float, float]]) -> None:
    rng = np.random.default_rng(11)
    assert sum(_trial(rng, requests=500, **arms) is not None for _ in range(60)) <= 1


def test_one_that_fails_one_request_in_twenty_is_taken_back_within_its_least_requests() -> None:
    rng = np.random.default_rng(11)
    worse = {**SAME, "errors": (0.0, 0.05)}
    found = Counter(_trial(rng, requests=200, **worse) for _ in range(40))
    assert found["errors"] >= 32 and set(found) <= {"errors", None}
