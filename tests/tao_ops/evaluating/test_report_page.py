"""What a person who approves reads: the verdict first, all figures after it."""

from typing import Any

from tao_ops.evaluating.report_page import page

MODEL = {"architecture": "Tiny", "parameters": 1_000_000, "dtype": "BF16"}
OUTPUTS = {"tokens": 12.5, "empty": 0.0, "truncated": 0.01, "repeated": 0.0, "reward": 0.75, "rewarded": 300}
LINE: dict[str, Any] = {
    **{"name": "exam", "metric": "exact_json", "primary": True, "n": 300},
    **{"champion": 0.55, "control": None, "candidate": 0.6, "delta": 0.05, "ci_low": 0.01, "ci_high": 0.09},
    "p_value": 0.012,
    "outputs": {"champion": OUTPUTS, "candidate": {**OUTPUTS, "tokens": 11.0}},
}
CANDIDATE: dict[str, Any] = {
    "base": {"version": 3, "model_version": "base"},
    "method": "raft",
    "hyperparameters": {"epochs": 3, "learning_rate": 1e-3, "weighted": False},
    "rows": 120,
    "seed": 7,
    "metrics": {"queries": 110, "steps": 39, "kept_step": 26},
    "lineage": {"turns": ["2026-11-20T00:00Z", "2026-11-21T00:00Z"]},
}


def _page(*, approval: str = "auto", slices: list[dict[str, Any]] | None = None, **candidate: Any) -> str:
    report = {
        "flywheel": "shop",
        "turn": "2026-11-21T00:00Z",
        "champion": {**MODEL, "model_version": "base", "version": 3},
        "candidate": {**MODEL, "model_version": "cand", "version": None},
        "benchmarks": [{**LINE, "slices": slices or []}],
        "seconds_a_token": {"champion": 0.0021, "candidate": None},
        "contaminated": 0,
    }
    reasons = ["exam: +5.0 points over 300 items: better", "a|b <i>"]
    verdict = {"decision": "promote", "reasons": reasons, "test": 2, "level": 0.0072, "approval": approval}
    counts, rewards = {"queries of the turn": 1500}, {"reward.tickets.auroc": 0.91, "reward.tickets.labels": 412.0}
    return page(report, verdict, {**CANDIDATE, **candidate}, counts=counts, rewards=rewards)


def test_the_verdict_comes_first_and_the_figures_after_it() -> None:
    lines = _page().splitlines()
    assert lines[0] == "# shop, turn 2026-11-21T00:00Z: promote"
    assert lines[2].endswith("version 3 (`base`): the month's test 2 of this champion, at level 0.0072.")
    assert lines[4:6] == ["- exam: +5.0 points over 300 items: better", "- a\\|b &lt;i>"]
    assert "| exam (exact_json, primary) | 300 | 55.0 % | – | 60.0 % | +5.0 [+1.0, +9.0] | 0.012 |" in lines
    assert "| exam | candidate | 11.0 | 0.0 % | 1.0 % | 0.0 % | 0.750 |" in lines
    assert "| champion | Tiny | 1,000,000 | BF16 | 2.10 |" in lines
    assert "Benchmark items among the rows that it was trained on: 0." in lines
    assert "| tickets | 0.91 | – | – | 412 | – |" in lines
    assert "- queries of the turn: 1,500" in lines and "- queries trained on: 110" in lines
    assert "- rows trained on: 120" in lines
    assert lines[-1] == "raft, epochs 3, learning_rate 0.001; from version 3, step 26 of 39 kept; seed 7."
    assert not any(line.startswith("## Slices") for line in lines)


def test_what_waits_for_an_approval_says_so() -> None:
    assert "It waits for an approval." in _page(approval="pending") and "approval" not in _page()


def test_the_worst_slices_are_shown() -> None:
    slices = [
        {"slice": f"family=f{n}", "n": 20, "champion": 0.5, "candidate": 0.5 + n / 100, "delta": n / 100}
        | {"ci_low": -0.1, "ci_high": 0.2}
        for n in range(20)
    ]
    slices.append({**slices[0], "slice": "family=tea\n|x", "candidate": 0.3, "delta": -0.2})
    lines = _page(slices=slices).splitlines()
    at = lines.index("## Slices, the worst first")
    assert lines[at + 4] == "| exam, family=tea \\|x | 20 | 50.0 % | 30.0 % | -20.0 [-10.0, +20.0] |"
    assert lines[at + 17] == "9 more, at or above the last one shown."


def test_a_candidate_of_the_base_model_has_a_page_without_more_figures() -> None:
    plain = {"base": {"version": 0}, "metrics": {}, "lineage": {}, "hyperparameters": {}}
    assert _page(**plain).splitlines()[-1] == "raft; from the base model; seed 7."


def test_of_grpo_no_epochs_are_told() -> None:
    chosen = {"epochs": 3, "learning_rate": 1e-3, "lora_rank": 16}
    last = _page(method="grpo", hyperparameters=chosen).splitlines()[-1]
    assert last == "grpo, lora_rank 16; from version 3, step 26 of 39 kept; seed 7."
