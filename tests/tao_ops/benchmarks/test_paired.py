"""The statistics, against scipy and statsmodels, and by simulation."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as reference_mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import normal_power
from statsmodels.stats.proportion import proportion_confint

from tao_ops.benchmarks import paired, spending


@pytest.mark.parametrize(("right", "n"), [(0, 10), (1, 300), (150, 300), (299, 300), (10, 10)])
@pytest.mark.parametrize("alpha", [0.05, 0.1])
def test_wilson(right: int, n: int, alpha: float) -> None:
    found = paired.mean_interval([1.0] * right + [0.0] * (n - right), alpha=alpha)
    assert found == pytest.approx(proportion_confint(right, n, alpha=alpha, method="wilson"), abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_mcnemar(seed: int) -> None:
    rng = np.random.default_rng(seed)
    champion, candidate = (rng.random(120) < 0.5).astype(float), (rng.random(120) < 0.6).astype(float)
    table = [[np.sum((champion == a) & (candidate == b)) for b in (1, 0)] for a in (1, 0)]
    expected = reference_mcnemar(table, exact=True).pvalue
    found = paired.compare(champion.tolist(), candidate.tolist(), resamples=200)
    assert found.p_value == pytest.approx(expected, rel=1e-9)
    assert found.delta == pytest.approx(candidate.mean() - champion.mean())


def test_the_interval_is_scipys_bca_and_depends_on_the_seed_alone() -> None:
    rng = np.random.default_rng(3)
    champion, candidate = rng.random(80), rng.random(80)
    found = paired.compare(champion.tolist(), candidate.tolist(), seed=5, resamples=4000)
    exact = stats.bootstrap(
        (candidate - champion,), np.mean, n_resamples=4000, method="BCa", rng=np.random.default_rng(11)
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=0.01)
    assert paired.compare(champion.tolist(), candidate.tolist(), seed=5, resamples=4000) == found


def test_the_interval_covers_the_truth() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        champion = (rng.random(100) < 0.4).astype(float)
        candidate = np.where(rng.random(100) < 0.5, champion, (rng.random(100) < 0.6).astype(float))
        found = paired.compare(champion.tolist(), candidate.tolist(), seed=trial, resamples=500)
        covered += found.low <= 0.1 <= found.high
    assert covered >= 180


@pytest.mark.parametrize("seed", range(3))
def test_the_permutation_test_is_scipys(seed: int) -> None:
    rng = np.random.default_rng(seed)
    differences = rng.normal(0.1, 0.4, 40)
    expected = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=20_000, rng=np.random.default_rng(1)
    ).pvalue
    assert paired.sign_flip(differences, seed=2, resamples=20_000) == pytest.approx(expected, abs=0.015)


@pytest.mark.parametrize("test", [1, 10, 30])
def test_a_clear_gain_of_graded_scores_is_below_the_level_of_any_night(test: int) -> None:
    """Ten thousand flips alone never give less than 0.0001, which is more than a 30th candidate may have."""
    found = paired.compare([0.25] * 60, [0.25 + n / 100 for n in range(1, 61)])
    assert found.p_value < spending.level(0.05, test)


def test_the_p_value_of_the_permutation_test_is_uniform_or_larger_without_a_difference() -> None:
    rng = np.random.default_rng(5)
    p_values = np.array([paired.sign_flip(rng.normal(0, 0.3, 25), seed=n, resamples=200) for n in range(1500)])
    for level in (0.01, 0.05, 0.2):
        assert np.mean(p_values <= level) <= level + 3 * np.sqrt(level * (1 - level) / p_values.size)


@pytest.mark.parametrize(
    ("champion", "candidate", "interval"),
    [
        ([1.0] * 300, [1.0] * 300, (-0.00998, 0.00998)),
        ([0.0] * 300, [1.0] * 300, (1 - 0.00998, 1.0)),
        ([0.5] * 4, [0.25] * 4, (-0.999, 0.499)),
        ([0.0], [0.0], (-1.0, 1.0)),
    ],
)
def test_differences_that_are_all_equal(
    champion: list[float], candidate: list[float], interval: tuple[float, float]
) -> None:
    found = paired.compare(champion, candidate)
    assert (found.low, found.high) == pytest.approx(interval, abs=1e-3)
    assert found.p_value == (1.0 if champion == candidate else pytest.approx(found.p_value))


def test_one_item_that_differs_has_a_finite_interval() -> None:
    found = paired.compare([0.0] * 299 + [0.0], [0.0] * 299 + [1.0])
    assert found.low <= found.delta <= found.high
    assert found.p_value == 1.0


@pytest.mark.parametrize(("lost", "won"), [(9, 2), (2, 9), (5, 5), (0, 0)])
def test_a_drop_s_p_value_is_the_one_sided_binomial_test_s(lost: int, won: int) -> None:
    champion, candidate = [1.0] * lost + [0.0] * (won + 20), [0.0] * lost + [1.0] * won + [0.0] * 20
    found = paired.compare(champion, candidate, resamples=200).p_drop
    exact = stats.binomtest(lost, lost + won, 0.5, alternative="greater").pvalue if lost + won else 1.0
    # Where it did not fall, one minus half of the two-sided value is a little smaller than the exact one, and large.
    assert found == pytest.approx(exact, abs=1e-12) if lost > won else found >= 0.5


def test_holm() -> None:
    p_values = [0.01, 0.04, 0.03, 0.5, 0.01]
    assert paired.holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1].tolist())


def test_items_to_decide_reach_the_power_they_promise() -> None:
    n = paired.items_to_decide(0.05, 0.4, alpha=0.05)
    assert n is not None
    assert normal_power(0.05 / 0.4, n, 0.05) == pytest.approx(0.8, abs=0.005)
    assert paired.items_to_decide(0.0, 0.4, alpha=0.05) is None


def test_scores_of_other_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="same items"):
        paired.compare([1.0], [1.0, 0.0])
    with pytest.raises(ValueError, match="same items"):
        paired.compare([], [])
