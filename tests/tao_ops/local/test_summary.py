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
