"""Evidence may be looked at again and again: what keeps to the limit hardly ever seems to break it."""

import math

import numpy as np
import pytest

from tao_ops.serve.canary import evidence
from tao_ops.serve.canary.counts import bucket, quantile
from tao_ops.serve.canary.evidence import Share

LEVEL = 0.05


def test_it_is_the_mixture_over_the_best_that_the_limit_allows() -> None:
    champion, candidate, margin = Share(3, 40), Share(9, 20), 0.1
    p = np.linspace(1e-6, 1 - margin - 1e-6, 200_001)
    kept = 3 * np.log(p) + 37 * np.log1p(-p) + 9 * np.log(p + margin) + 11 * np.log1p(-p - margin)
    density = np.linspace(1e-7, 1 - 1e-7, 2_000_001)
    prior = 1 / (np.pi * np.sqrt(density * (1 - density)))
    mixture = sum(
        math.log(float(np.trapezoid(density**hits * (1 - density) ** (trials - hits) * prior, density)))
        for hits, trials in ((3, 40), (9, 20))
    )
    assert evidence.of_share(champion, candidate, margin) == pytest.approx(mixture - kept.max(), abs=1e-3)


def test_what_is_no_worse_is_never_evidence() -> None:
    for champion, candidate in (
        (Share(5, 100), Share(5, 100)),
        (Share(0, 0), Share(50, 50)),
        (Share(1, 9), Share(0, 0)),
    ):
        assert evidence.of_share(champion, candidate, 0.0) <= 0.0
    assert evidence.of_share(Share(0, 500), Share(5, 100), 1.0) <= 0.0


@pytest.mark.parametrize(("champion", "margin"), [(0.01, 0.0), (0.1, 0.02), (0.0, 0.02)])
def test_looking_again_and_again_is_free(champion: float, margin: float) -> None:
    # The candidate is as bad as the limit allows, and a tenth of the requests are its.
    rng, broken = np.random.default_rng(5), 0
    for _ in range(200):
        arm = rng.random(2000) < 0.1
        hit = rng.random(2000) < np.where(arm, champion + margin, champion)
        mine, theirs = np.cumsum(hit & arm), np.cumsum(hit & ~arm)
        n = np.cumsum(arm)
        broken += any(
            evidence.of_share(Share(int(theirs[i]), int(i + 1 - n[i])), Share(int(mine[i]), int(n[i])), margin)
            >= -math.log(LEVEL)
            for i in range(4, 2000, 50)
        )
    assert broken / 200 <= LEVEL


def test_seconds_are_compared_by_whole_buckets() -> None:
    rng = np.random.default_rng(3)

    def histogram(times: float, n: int) -> dict[int, int]:
        found: dict[int, int] = {}
        for seconds in times * rng.lognormal(0.0, 0.5, n):
            found[bucket(seconds)] = found.get(bucket(seconds), 0) + 1
        return found

    champion = histogram(1.0, 1800)
    assert quantile(champion, 0.95) == pytest.approx(math.exp(0.5 * 1.645), rel=0.12)
    assert evidence.of_seconds(champion, histogram(1.0, 200), 1.5) < 0
    assert evidence.of_seconds(champion, histogram(1.5, 2000), 1.5) < -math.log(LEVEL)
    assert evidence.of_seconds(champion, histogram(3.0, 200), 1.5) > math.log(1e6)
    assert evidence.of_seconds({}, {}, 1.5) < 1e-9


def test_lengths_need_some_answers_and_a_real_difference() -> None:
    def moments(each: list[int]) -> tuple[int, int, int]:
        return len(each), sum(each), sum(one * one for one in each)

    short, long = moments([20, 30, 40] * 100), moments([60, 70, 80] * 30)
    assert evidence.longer(short, long, 1.5, 0.001, 200)
    assert not evidence.longer(short, long, 2.5, 0.001, 200)
    assert not evidence.longer(short, moments([60, 70, 80] * 10), 1.5, 0.001, 200)
