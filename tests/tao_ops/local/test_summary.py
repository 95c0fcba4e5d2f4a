"""The closing table, from the JSON of ``tao turn show``."""

from io import StringIO
from typing import Any

from rich.console import Console

from tao_ops.local.summary import closing_remark, print_turn


def shown(decision: str = "promote") -> dict[str, Any]:
    return {
        "flywheel": "tickets",
        "turn": "2026-11-21T00:00Z",
        "stages": {
            "ingest": {"rows_in": 153, "rows_out": 150, "seconds": 2.5, "metrics": {}},
            "generate": {"rows_in": 130, "rows_out": 1040, "seconds": 120.0, "metrics": {}},
        },
        "report": {
            "benchmarks": [
                {"name": "tickets", "metric": "exact_json", "n": 300, "champion": 0.01, "control": 0.58}
                | {
                    "candidate": 0.615,
                    "candidate_low": 0.559,
                    "candidate_high": 0.668,
                    "delta": 0.605,
                    "ci_low": 0.55,
                    "ci_high": 0.66,
                    "p_value": 1e-40,
                }
                | {"primary": True}
            ]
        },
        "verdict": {"decision": decision, "reasons": ["tickets rose by 60.5 points [0.55, 0.66]"]},
        "release": {"model": "tickets", "version": 1, "alias": "champion"},
    }


def printed(told: dict[str, Any], **kwargs: Any) -> str:
    out = StringIO()
    print_turn(told, Console(file=out, width=110), **kwargs)
    return out.getvalue()


def test_scores_verdict_release_seconds_and_places_are_printed() -> None:
    text = printed(shown(), wall_seconds=140.0, places={"lake": "/home/lake"})
    lines = text.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("tickets (exact_json, n = 300)"))
    assert lines[at + 1].startswith("champion before") and "1.0 %" in lines[at + 1]
    assert "58.0 %" in lines[at + 2]
    assert lines[at + 3].startswith("candidate") and lines[at + 3].split()[-5:] == ["61.5", "%", "55.9", "to", "66.8"]
    assert lines[at + 4].startswith("candidate's lead, in points (p = 1e-40)")
    assert lines[at + 4].split()[-4:] == ["+60.5", "+55.0", "to", "+66.0"]
    assert "no stage's" in text and next(x for x in text.splitlines() if x.startswith("no stage")).endswith("17.5")
    assert "verdict: promote" in text and "  tickets rose by 60.5 points [0.55, 0.66]" in text
    assert "registered: tickets version 1, alias champion" in text
    assert "lake: /home/lake" in text


def _slice(n: int, delta: float) -> dict[str, Any]:
    told = {"slice": f"family=f{n}", "n": 20, "champion": 0.5, "candidate": 0.5 + delta, "delta": delta}
    return {**told, "ci_low": delta - 0.1, "ci_high": delta + 0.1, "p_value": 0.5}


def test_slices_and_outputs_are_shown_under_the_scores() -> None:
    told = shown()
    plain = {"tokens": 12.34, "empty": 0.0, "truncated": 0.02, "repeated": 0.0, "reward": 0.75, "rewarded": 300}
    told["report"]["benchmarks"][0] |= {
        "slices": [_slice(n, n / 100) for n in range(9)] + [_slice(9, -0.25)],
        "outputs": {"champion": {**plain, "reward": None}, "candidate": plain},
    }
    lines = [" ".join(line.split()) for line in printed(told).splitlines()]
    at = lines.index("tickets, slices n champion candidate lead 95 % interval")
    assert lines[at + 1 : at + 3] == [
        "family=f9 20 50.0 % 25.0 % -25.0 -35.0 to -15.0",
        "family=f0 20 50.0 % 50.0 % +0.0 -10.0 to +10.0",
    ]
    assert lines[at + 9] == "and 2 more, at or above the last one shown"
    at = lines.index("outputs tokens empty truncated repeated reward")
    assert lines[at + 1 : at + 3] == [
        "tickets, champion 12.3 0.0 % 2.0 % 0.0 % –",
        "tickets, candidate 12.3 0.0 % 2.0 % 0.0 % 0.75",
    ]


def test_findings_are_shown_where_there_are_several() -> None:
    told = shown("reject")
    whole = {"benchmark": "tickets", "slice": "", "n": 300, "delta": 0.6, "corrected_p": 1e-40, "level": 0.0219}
    slices = [
        {**whole, "slice": f"family=[f{n}]", "n": 20, "delta": delta, "level": 0.05, "decision": decision}
        for n, delta, decision in ((0, 0.1, "promote"), (1, -0.5, "reject"))
    ]
    told["verdict"] |= {"findings": [{**whole, "decision": "promote"}, *slices]}
    lines = [" ".join(line.split()) for line in printed(told).splitlines()]
    at = lines.index("findings n lead p level says")
    assert lines[at + 1 : at + 4] == [
        "tickets 300 +60.0 1e-40 0.022 promote",
        "tickets, family=[f1] 20 -50.0 1e-40 0.05 reject",
        "tickets, family=[f0] 20 +10.0 1e-40 0.05 promote",
    ]
    told["verdict"]["findings"] = told["verdict"]["findings"][:1]
    assert "findings" not in printed(told), "one finding is one reason"


def test_what_waits_for_an_approval_says_so() -> None:
    told = shown()
    told["verdict"]["approval"] = "pending"
    assert "verdict: promote, waits for an approval" in printed(told)


def test_a_turn_that_has_not_come_far_is_printed_as_far_as_it_came() -> None:
    told = {**shown(), "report": {"benchmarks": []}, "verdict": None, "release": None}
    text = printed(told)
    assert "ingest" in text and "verdict" not in text and "registered" not in text


def test_a_control_that_was_not_run_leaves_a_gap() -> None:
    told = shown()
    told["report"]["benchmarks"][0]["control"] = None
    assert " – " in printed(told)


def test_undecided_against_a_tuned_champion_is_called_normal() -> None:
    assert "is normal" in (closing_remark(shown("undecided"), champion_was_tuned=True) or "")
    assert closing_remark(shown("undecided"), champion_was_tuned=False) is None
    assert closing_remark(shown("promote"), champion_was_tuned=True) is None


def test_what_each_strategy_cost_and_found_is_shown() -> None:
    found = {"plain": {"samples": 115.0, "tokens": 3520.0, "passed": 0.0, "reward": 1.0}}
    found["plain"] |= {"pass_rate": 0.0, "tokens_a_pass": None}  # type: ignore[dict-item]
    found["demonstrations"] = {"samples": 1040.0, "tokens": 34320.0, "passed": 260.0, "reward": 200.0}
    found["demonstrations"] |= {"pass_rate": 0.25, "tokens_a_pass": 132.0}
    lines = [" ".join(line.split()) for line in printed(shown() | {"exploration": {"tickets": found}}).splitlines()]
    assert "exploration samples tokens passed tokens a pass" in lines
    assert "tickets/plain 115 3,520 0.0 % –" in lines
    assert "tickets/demonstrations 1,040 34,320 25.0 % 132" in lines


def _estimate(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.04, "high": value + 0.04}


def _calibration(shards: list[int], n: int = 412, **changes: Any) -> dict[str, Any]:
    figures = {"auroc": _estimate(0.912), "brier": _estimate(0.084), "ece": None}
    made = {"version": "3f9a12bc45de", "calibrated": True, "reason": "fitted to anchor 412"}
    return {"shards": shards, "n": n, **figures, **made, **changes}


def _rewards(*calibrations: dict[str, Any], **changes: Any) -> dict[str, Any]:
    shards = sum(len(one["shards"]) for one in calibrations)
    nothing: dict[str, Any] = {"undecided": {}, "barred": {}, "fell_for": {}, "monitors": []}
    return {"rewards": {"tickets": {"shards": shards, "calibrations": [*calibrations], **nothing, **changes}}}


def _lines(told: dict[str, Any]) -> list[str]:
    return [" ".join(line.split()) for line in printed(shown() | told).splitlines()]


def test_how_far_rewards_can_be_trusted_is_shown() -> None:
    lines = _lines(_rewards(_calibration([0])))
    at = lines.index("rewards labels AUROC [95 %] Brier [95 %] ECE [95 %]")
    assert lines[at + 1] == "tickets 412 0.91 [0.87, 0.95] 0.08 [0.04, 0.12] –"
    assert lines[at + 2] == "tickets: calibrator 3f9a12bc45de, fitted to anchor 412"


def test_rewards_by_rule_say_why() -> None:
    reason = "0 labels, too few labels; too few cases"
    none = {"auroc": None, "brier": None, "ece": None, "version": "product-2", "calibrated": False, "reason": reason}
    lines = _lines(_rewards(_calibration([0], 0, **none)))
    assert "tickets 0 – – –" in lines
    assert f"tickets: combined by rule product-2, {reason}" in lines


def test_who_is_not_to_be_trusted_is_shown() -> None:
    told = _rewards(
        _calibration([0]),
        _calibration([1], 1_418, version="aa9a12bc45de"),
        undecided={"consensus": {"too few candidates": 1_020}, "judge": {"undecided": 12, "no [reference]": 3}},
        fell_for={"judge": ["master key", "empty"], "combined reward": ["empty"]},
        barred={"judge": [1]},
        monitors=[
            {"name": "length", "level": "warn", "sentence": "monitor 'length': longer is better", "shards": [0, 1]}
        ],
    )
    lines = _lines(told)
    assert "tickets (shard 1) 1,418 0.91 [0.87, 0.95] 0.08 [0.04, 0.12] –" in lines
    at = lines.index("tickets (shard 0): calibrator 3f9a12bc45de, fitted to anchor 412")
    assert lines[at + 1 : at + 7] == [
        "tickets (shard 1): calibrator aa9a12bc45de, fitted to anchor 412",
        "tickets/judge fell for probes: master key, empty; barred from these rewards (shard 1)",
        "tickets/combined reward fell for probes: empty",
        "tickets: warn: monitor 'length': longer is better",
        "tickets/consensus could not decide 1,020: too few candidates",
        "tickets/judge could not decide 15: undecided 12, no [reference] 3",
    ]


def test_how_the_training_went_is_shown() -> None:
    raft = {
        "steps": 39,
        "kept_step": 26,
        "stopped": "the entropy, 0.00030 nats, is below update.watch.limits.entropy",
        "loss": {"first": 1.52, "last": 0.064},
        "reward": {"first": 0.21, "kept": 0.63},
        "kl": {"first": 0.0, "kept": 1.046},
        "entropy": {"first": 0.512, "kept": 0.064},
        "length": {"first": 22.4, "kept": 18.6},
    }
    unwatched = {**raft, "stopped": None, "kept_step": 39, "reward": None, "kl": None, "entropy": None, "length": None}
    lines = _lines({"update": {"raft": raft, "grpo": unwatched}})
    at = lines.index("update kept step loss reward divergence entropy tokens")
    assert lines[at + 1 : at + 4] == [
        "raft 26 of 39 1.52 → 0.06 0.21 → 0.63 0.00 → 1.05 0.512 → 0.064 22 → 19",
        "grpo 39 of 39 1.52 → 0.06 – – – –",
        "raft stopped early: the entropy, 0.00030 nats, is below update.watch.limits.entropy",
    ]


def test_of_many_shards_the_worst_and_the_best_are_shown() -> None:
    many = [_calibration([i], 400 + i, auroc=_estimate(0.8 + i / 100)) for i in range(12)]
    lines = _lines(_rewards(*many, barred={"judge": [1, 2, 3, 5, 7, 8]}, fell_for={"judge": ["empty"]}))
    at = lines.index("tickets, 12 shards 400 to 411 0.80 to 0.91 0.08 –")
    assert lines[at + 1] == "tickets: 12 calibrations, see: tao turn show --json"
    assert lines[at + 2].endswith("; barred from these rewards (shards 1, 2, 3, 5 and 2 more)")
