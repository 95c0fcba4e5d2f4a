"""The gate's simulations, small: their arithmetic is the gate's own, and they show what they are for."""

import doctest
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tao_ops.benchmarks import paired, spending
from trials.gate import checks, document, draws, months, single, slices
from trials.gate.picture import plot


def test_the_p_values_are_the_gate_s_own() -> None:
    assert doctest.testmod(draws).failed == 0
    lost, won = np.random.default_rng(1).integers(0, 30, (2, 60))
    for told, a, b in zip(draws.p_values(lost, won), lost, won, strict=True):
        assert told == pytest.approx(paired.mcnemar(np.array([-1.0] * a + [1.0] * b)), rel=1e-9)


def test_holm_by_rows_is_the_gate_s_own() -> None:
    p_values = np.random.default_rng(2).random((20, 7)) ** 3
    for row, told in zip(p_values, slices.holm(p_values), strict=True):
        assert told.tolist() == pytest.approx(paired.holm(row.tolist()))


def test_the_rule_itself_judges_candidates_as_the_simulations_do() -> None:
    told = checks.agreement(15, seed=4)
    assert told["agree"] == told["cases"] == 15
    assert min(told["promote"], told["reject"], told["undecided"]) > 0


def test_a_better_model_has_the_accuracy_it_is_said_to_have() -> None:
    ease = draws.eases(np.random.default_rng(3), 0.5, (2, 100_000))
    better = draws.mended(ease, 0.5, np.array([0.55, 0.9]))
    assert better.mean(axis=1).tolist() == pytest.approx([0.55, 0.9], abs=0.005)
    equal = np.random.default_rng(4).random((2, *ease.shape)) < ease
    assert np.mean(equal[0] != equal[1]) == pytest.approx(draws.discordance(0.5), abs=0.01)


def test_chance_is_promoted_in_one_night_at_most_at_half_of_alpha() -> None:
    for row in single.no_difference(5000, seed=5):
        assert row["promoted"] <= 0.025
        assert row["promoted"] <= row["promoted_at_alpha"] <= 0.03
        assert row["rejected"] <= 0.03


def test_a_month_keeps_its_budget_and_without_one_it_does_not() -> None:
    found = months.simulate(months.Scenario(300), 400, seed=6)
    assert found[months.CHOSEN]["false_months"] <= 0.05
    assert found[months.NONE]["false_months"] > 0.1


def test_better_candidates_are_promoted_and_the_more_so_with_more_items() -> None:
    few, many = (months.simulate(months.Scenario(n, 0.1, "weekly"), 60, seed=7) for n in (100, 600))
    assert few[months.CHOSEN]["true_a_month"] < many[months.CHOSEN]["true_a_month"]
    assert many[months.CHOSEN]["true_a_month"] > 1


def test_the_chosen_levels_are_the_gate_s_and_begin_anew_with_each_champion() -> None:
    k = np.array([1, 7, 31])
    chosen = months.SCHEMES[months.CHOSEN](k, np.zeros((3, 0), bool))
    assert chosen.tolist() == pytest.approx([spending.level(0.05, int(one)) for one in k])
    assert months.by_power(1.6)(k, np.zeros((3, 0), bool)).tolist() == pytest.approx(chosen.tolist())


def test_lord_earns_by_what_it_promotes() -> None:
    """Against the recursion of Ramdas and others 2017, written out."""

    def gamma(j: int) -> float:
        return float(0.07720838 * np.log(max(j, 2)) / (j * np.exp(np.sqrt(np.log(j)))))

    promoted = np.array([[False, True, False, True]])
    expected = 0.025 * gamma(5) + 0.025 * gamma(3) + 0.05 * gamma(1)
    assert months.lord(np.array([2]), promoted).tolist() == pytest.approx([expected])


def test_a_planted_regression_is_caught_and_the_mean_hides_it() -> None:
    planted, none = (slices.simulate(slices.CASES[i], 1000, seed=8) for i in (0, 5))
    assert planted["planted_slice"] > 0.6
    assert planted["mean_rose"] > 0.8 and planted["by_the_mean"] < 0.01
    assert none["rejected"] <= 0.02


def test_items_for_a_power_are_about_what_the_gate_says() -> None:
    needed = single.items(0.2, 0.1, trials=2000, seed=9)
    said = paired.items_to_decide(0.1, float(np.sqrt(0.2 - 0.01)), alpha=spending.level(0.05, 1))
    assert said is not None
    assert needed == pytest.approx(said, rel=0.15)


@pytest.fixture
def cells() -> dict[str, dict[str, Any]]:
    """Every cell, measured on next to nothing."""
    scenarios = {name: months.Scenario(20, one.gain, one.better) for name, one in months.SCENARIOS.items()}
    return {
        "no difference": {"trials": 50, "rows": single.no_difference(50, 1)},
        "power": {
            "trials": 50,
            "rows": [{**row, "items": 900} for row in single.power(50, 1)],
        },
        **{f"month: {name}": {"rows": months.simulate(one, 5, 1)} for name, one in scenarios.items()},
        "slices": {"trials": 50, "rows": [slices.simulate(case, 50, 1) for case in slices.CASES]},
        "coverage": {
            "trials": 1,
            "rows": [{"kind": "graded", "n": 100, "delta": 0.05, "coverage": 0.94, "width": 0.061}],
        },
        "agreement": {"cases": 3, "agree": 3, "promote": 1, "reject": 1, "undecided": 1},
    }


def test_the_page_s_tables_are_written_between_its_marks_and_nothing_else_changes(
    cells: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    page = tmp_path / "gate.md"
    page.write_text(f"# The gate\n\n{document.BEGIN}\nSTALE\n{document.END}\n\nWhat they say.\n", encoding="utf-8")
    document.write(cells, page)
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"# The gate\n\n{document.BEGIN}\n\n### One night")
    assert text.endswith(f"{document.END}\n\nWhat they say.\n")
    assert "STALE" not in text
    assert f"| **{months.CHOSEN}** | " in text
    assert "| graded | 100 | +5.0 | 94.0% | 6.1 |" in text
    assert "says the same of 3." in text
    document.write(cells, page)
    assert page.read_text(encoding="utf-8") == text


def test_a_page_without_the_marks_is_left_alone(cells: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    page = tmp_path / "gate.md"
    page.write_text("# The gate\n", encoding="utf-8")
    with pytest.raises(ValueError, match="with .* after it"):
        document.write(cells, page)
    assert page.read_text(encoding="utf-8") == "# The gate\n"


def test_the_picture_is_drawn(cells: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    plot(cells, tmp_path / "images" / "gate.png")
    assert (tmp_path / "images" / "gate.png").stat().st_size > 10_000
