"""Every response gets one reward, without labels."""

import json
from typing import Any

import pytest

from tao_ops import turns
from tao_ops.errors import ConfigError, DataError, MissingInput
from tao_ops.records import StageReport
from tao_ops.stages import generate, ingest, score, update, validate
from tao_ops.tables import RESPONSES, REWARDS
from tests.tao_ops.conftest import TEXTS, right_answer

Shop = Any
KEYS = ("customer", "product", "city")
SOFT = [{"name": "grounding", "keys": list(KEYS), "least": 0.0}, {"name": "consensus"}]
GOOD = (1 + (31 / 32) ** 3) / 2


@pytest.fixture
def generated(shop: Shop) -> Shop:
    shop.log()
    for stage in (ingest, validate, generate):
        stage.run(shop.run())
    return shop


def _rewards(shop: Shop) -> dict[str, dict[str, Any]]:
    return {row["response_id"]: row for row in shop.run().lake.read(REWARDS).to_pylist()}


def test_right_answers_are_rewarded_and_others_are_not(generated: Shop) -> None:
    report = score.run(generated.run())
    rows = _rewards(generated)
    assert len(rows) == report.rows_in == report.rows_out
    for response_id, row in rows.items():
        # The four that are well formed agree in all three parts: each beats none by 31 to 1.
        assert row["reward"] == pytest.approx(GOOD if "demonstrations" in response_id else 0.0)
        assert set(dict(row["scores"])) == {"json_schema", "grounding", "consensus"} and row["flags"] == []
    assert report.metrics["mean_best_reward"] == pytest.approx(GOOD)
    assert report.metrics["queries_without_reward"] == 0
    assert report.metrics["mean_scores"]["json_schema"] == pytest.approx(0.8)
    assert json.dumps(report.as_dict())


def test_running_again_replaces_the_rows(generated: Shop) -> None:
    score.run(generated.run())
    before = _rewards(generated)
    score.run(generated.run(run_id="manual__2"))
    after = _rewards(generated)
    assert {key: {**row, "run_id": "manual__1"} for key, row in after.items()} == before
    assert generated.run().lake.read(REWARDS).num_rows == len(before)


def test_empty_and_truncated_responses_are_flagged(generated: Shop) -> None:
    run = generated.run()
    rows = sorted(run.lake.read(RESPONSES).to_pylist(), key=lambda row: row["response_id"])
    rows[0] |= {"answer": "", "text": " "}
    rows[1] |= {"finish_reason": "length"}
    run.lake.write(RESPONSES, rows, turn=run.turn, run_id=run.run_id, shard=0)
    score.run(run)
    rewards = _rewards(generated)
    assert rewards[rows[0]["response_id"]]["flags"] == ["empty"]
    assert rewards[rows[0]["response_id"]]["reward"] == 0.0
    assert rewards[rows[1]["response_id"]]["flags"] == ["truncated"]


def test_before_generate_it_says_so(shop: Shop) -> None:
    with pytest.raises(MissingInput, match="run validate first"):
        score.run(shop.run())
    shop.log()
    for stage in (ingest, validate):
        stage.run(shop.run())
    before = shop.versions()
    with pytest.raises(MissingInput, match=r"\[shard 0\] — run generate again"):
        score.run(shop.run())
    assert shop.versions() == before


def test_responses_to_other_prompts_are_refused(generated: Shop) -> None:
    generated.log([f"{name} here, my tent never came to Bonn." for name in ("Uma", "Vic", "Wim")])
    for stage in (ingest, validate):
        stage.run(generated.run())
    before = generated.versions()
    with pytest.raises(MissingInput, match="do not belong to these prompts"):
        score.run(generated.run())
    assert generated.versions() == before


def _anchors(shop: Shop, n: int = 24) -> None:
    """A file of labelled pools: four good answers of six are right for even numbers, and none for odd ones."""
    lines = []
    for number in range(n):
        text = f"Person{number} here, my kite never came to Oslo."
        values = {"customer": f"Person{number}", "product": "kite", "city": "Oslo"}
        good = [{"text": json.dumps(values), "correct": number % 4 != 0}] * 4
        bad = [{"text": json.dumps({**values, "product": word}), "correct": False} for word in ("came", "here")]
        lines.append({"messages": [{"role": "user", "content": text}], "responses": [*good, *bad]})
    path = shop.settings.include / "anchors.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    shop.change("tasks.tickets.calibration", {"anchors": "anchors.jsonl"})


def test_anchors_make_the_reward_a_probability_and_the_report_says_how_good_it_is(generated: Shop) -> None:
    _anchors(generated)
    run = generated.run()
    report = score.run(run)
    told = report.metrics["calibration"]["tickets"]
    assert told["reason"] == "fitted to anchor 144" and told["report"]["labels"] == {"anchor": 144}
    assert told["report"]["ece"]["value"] < 0.1 and told["report"]["auroc"]["value"] > 0.75
    rows = _rewards(generated)
    assert {row["calibrator_version"] for row in rows.values()} == {told["version"]}
    good = [row["reward"] for response_id, row in rows.items() if "demonstrations" in response_id]
    assert len({round(value, 6) for value in good}) == 1 and 0.7 < good[0] < 1.0
    assert all(row["reward"] == 0.0 for response_id, row in rows.items() if "plain" in response_id)
    picture = run.lake.artifacts(run.turn, run.run_id) / "reliability-tickets-0.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert any("AUROC" in line and "ECE" in line for line in generated.said)
    assert json.dumps(report.as_dict())


def test_without_labels_scores_are_combined_by_rule_and_the_log_says_why(generated: Shop) -> None:
    told = score.run(generated.run()).metrics["calibration"]["tickets"]
    assert told["version"] == "product-2" and told["calibrator"] is None and told["report"] is None
    assert told["reason"] == "0 labels, too few labels; fewer than three scorers to compare"
    assert any(told["reason"] in line for line in generated.said)


def test_feedback_on_production_responses_is_a_label_of_this_turn_and_of_later_ones(shop: Shop) -> None:
    shop.change("tasks.tickets.calibration", {"least": 4})
    shop.change("tasks.tickets.scorers", SOFT)
    for day in (21, 22):
        shop.log_lines(_judged_lines(shop, day), name=f"{day}.jsonl")
        for stage in (ingest, validate, generate):
            stage.run(shop.run(day))
        metrics = score.run(shop.run(day)).metrics
        turns.record(shop.run(day), StageReport("score", rows_in=1, metrics=metrics))
        told = metrics["calibration"]["tickets"]
        train = len(
            {row["query_id"] for row in shop.run().lake.read(RESPONSES, turn=shop.run(day).turn.key).to_pylist()}
        )
        assert told["calibrator"]["labels"] == {"feedback": train * (day - 20)}
        assert (told["moved"] is None) is (day == 21)
    logged_rows = [key for key in _rewards(shop) if ":@" in key]
    assert len(logged_rows) == train


def _judged_lines(shop: Shop, day: int) -> list[str]:
    """Logged calls with a user's verdict: every second answer was right."""
    lines = []
    for number, text in enumerate(TEXTS):
        logged = json.loads(shop.line(text, f"req-{day}-{number}", day=day))
        up = number % 2 == 0
        answer = right_answer(text) if up else json.dumps({"customer": "x", "product": "y", "city": "z"})
        logged["response"]["choices"][0]["message"]["content"] = answer
        lines.append(json.dumps({**logged, "feedback": "up" if up else "down"}))
    return lines


def test_a_verifier_that_decides_labels_the_others(generated: Shop) -> None:
    scorers = [{"name": "json_schema", "keys": list(KEYS), "decides": True}, {"name": "consensus"}]
    generated.change("tasks.tickets.scorers", scorers)
    report = score.run(generated.run())
    told = report.metrics["calibration"]["tickets"]
    # What it refuses is a label too: its own veto is its verdict.
    assert told["calibrator"]["labels"] == {"verified": report.rows_in} and told["calibrator"]["names"] == ["consensus"]
    assert told["report"]["base_rate"] == pytest.approx(0.8)
    rows = _rewards(generated)
    assert {row["reward"] for key, row in rows.items() if "demonstrations" in key} == {1.0}
    assert {row["reward"] for key, row in rows.items() if "plain" in key} == {0.0}


def test_what_no_scorer_could_judge_has_no_reward_and_is_no_zero(generated: Shop) -> None:
    generated.change("tasks.tickets.scorers", [{"name": "numeric"}])
    report = score.run(generated.run())
    rows = _rewards(generated)
    assert {row["reward"] for row in rows.values()} == {None}
    assert all(dict(row["undecided"]) == {"numeric": "no reference"} for row in rows.values())
    assert report.metrics["mean_reward"] is None and report.metrics["without_reward"] == len(rows)
    assert report.metrics["undecided"]["tickets"] == {"numeric": {"no reference": len(rows)}}
    with pytest.raises(DataError, match="raft: only 0 of 8 queries have a response with a reward"):
        update.run(generated.run())


def test_a_monitor_over_its_limit_fails_the_stage_and_nothing_is_written(generated: Shop) -> None:
    generated.change("tasks.tickets.monitors", {"no_spread": {"fail": 0.5}})
    generated.change("tasks.tickets.scorers", [{"name": "regex", "pattern": ".*"}])
    before = generated.versions()
    with pytest.raises(DataError, match=r"have the same reward.*monitors.no_spread.fail: 0.5.*see tasks.tickets"):
        score.run(generated.run())
    assert generated.versions() == before


def test_probes_name_a_scorer_that_falls_for_them_and_bar_it_where_the_yaml_says_so(generated: Shop) -> None:
    own = generated.settings.include / "longest.py"
    own.write_text("def score(batch):\n    return [min(1.0, len(c.text) / 500) for c in batch]\n", encoding="utf-8")
    scorers = [{"name": "grounding", "keys": list(KEYS)}, {"name": "wordy", "kind": "own", "file": "longest.py"}]
    generated.change("tasks.tickets.scorers", scorers)
    open_ = score.run(generated.run()).metrics
    assert ["wordy", "wrong answer padded"] in open_["probes"]["tickets"]["fallen"]
    assert open_["barred"] == {"tickets": []}
    before = {key: row["reward"] for key, row in _rewards(generated).items()}
    generated.change("tasks.tickets.probes", {"bar": True})
    barred = score.run(generated.run(run_id="manual__2")).metrics
    assert barred["barred"] == {"tickets": ["wordy"]}
    after = {key: row["reward"] for key, row in _rewards(generated).items()}
    assert before != after and {after[key] for key in after if "demonstrations" in key} == {1.0}
    assert any("it falls for it" in line for line in generated.said)
    warnings = [line for line in generated.said if line.startswith("warning: tickets: answers that deserve nothing")]
    assert "wordy" in warnings[0] and not any("wordy" in line for line in warnings[1:]), "once barred it pays no more"


def test_what_could_not_be_decided_is_told_without_what_it_quotes(
    generated: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    reasons = {
        'near "Anna": syntax error': 2,
        "near 'Bela': syntax error": 1,
        "no such column: fay": 1,
        "time limit": 4,
    }
    monkeypatch.setattr(score, "_undecided", lambda rewards: {"sql": reasons})
    score.run(generated.run())
    assert "tickets/sql could not decide: 3 near, 1 no such column, 4 time limit" in generated.said


def test_an_unusable_scorer_is_named_before_anything_is_scored(generated: Shop) -> None:
    generated.change("tasks.tickets.scorers", [{"name": "mine", "kind": "own", "file": "mine.py"}])
    (generated.settings.include / "mine.py").write_text("def score(batch, limit):\n    return batch\n")
    before = generated.versions()
    with pytest.raises(ConfigError, match=r"'options' of scorer 'mine': missing a required argument: 'limit'"):
        score.run(generated.run())
    assert generated.versions() == before


def test_labels_of_a_turn_count_only_while_the_scorers_are_the_same(shop: Shop) -> None:
    shop.change("tasks.tickets.calibration", {"least": 4})
    shop.change("tasks.tickets.scorers", SOFT)
    for day in (21, 22, 23):
        if day == 23:
            shop.change("tasks.tickets.scorers", [SOFT[0], {"name": "consensus", "votes": 3}])
        shop.log_lines(_judged_lines(shop, day), name=f"{day}.jsonl")
        for stage in (ingest, validate, generate):
            stage.run(shop.run(day))
        told = score.run(shop.run(day)).metrics
        turns.record(shop.run(day), StageReport("score", rows_in=1, metrics=told))
        seen = told["calibration"]["tickets"]["calibrator"]["labels"]["feedback"]
        train = len(set(shop.run().lake.read(RESPONSES, turn=shop.run(day).turn.key).column("query_id").to_pylist()))
        assert seen == train * {21: 1, 22: 2, 23: 1}[day]


def test_anchors_do_not_hide_that_the_model_has_collapsed(shop: Shop) -> None:
    shop.log([text.replace(" here", f"{word} here") for text in TEXTS for word in ("", "xu", "yi")])
    shop.change("tasks.tickets.scorers", SOFT)
    for stage in (ingest, validate, generate):
        stage.run(shop.run())
    _anchors(shop)
    run = shop.run()
    rows = run.lake.read(RESPONSES).to_pylist()
    answers = {row["query_id"]: row["answer"] for row in rows if row["strategy"] == "demonstrations"}
    run.lake.write(
        RESPONSES, [{**row, "answer": answers[row["query_id"]]} for row in rows], turn=run.turn, run_id="x", shard=0
    )
    report = score.run(run)
    assert "hardly differ" in next(iter(report.metrics["undecided"]["tickets"]["consensus"]))
