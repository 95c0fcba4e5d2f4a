"""Which responses are taken for better than which, and which queries nobody trains on."""

from pathlib import Path
from typing import Any

import pytest

from tao_ops.errors import ConfigError, DataError, MissingInput
from tao_ops.scoring.reward_pairs import PER_QUERY, Pair, Preference, Source, held_out, preferences
from tests.tao_ops.scoring.reward_lake import ITEM, NAMES, RewardLake, reward_lake

TEXTS = {f"q{i}": f"{name} here, my rain jacket never came to Den Haag." for i, name in enumerate(NAMES)}


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RewardLake:
    return reward_lake(tmp_path, monkeypatch, model=tmp_path)


def _found(shop: RewardLake, day: int = 21, **how: Any) -> list[Preference]:
    told = {"task": "tickets", "lake": shop.lake, "window": 7, "margin": 0.5, **how}
    return preferences(shop.flywheel, shop.turn(day), **told).preferences


def _pairs(shop: RewardLake, **how: Any) -> list[tuple[str, str, str]]:
    return [(one.pair.source.value, one.pair.chosen, one.pair.rejected) for one in _found(shop, **how)]


def _one(text: str, reward: float | None = None, schema: float | None = None, **more: Any) -> dict[str, Any]:
    scores = {} if schema is None else {"json_schema": schema}
    return {"query_id": "q0", "text": text, "reward": reward, "scores": scores, **more}


def test_what_passes_is_better_than_what_does_not(shop: RewardLake) -> None:
    shop.ask(TEXTS)
    shop.answer([_one("good", 0.8, 1.0), _one("best", 0.9, 1.0), _one("bad", 0.0, 0.0)])
    assert _pairs(shop) == [("verifier", "best", "bad")]
    [only] = _found(shop)
    assert (only.prompt.query_id, only.cluster, only.pair.ids) == (
        "q0",
        "q0",
        ("2026-11-21T00:00Z 21-001", "2026-11-21T00:00Z 21-002"),
    )


def test_responses_of_two_turns_are_not_compared(shop: RewardLake) -> None:
    for day in (20, 21):
        shop.ask(TEXTS, day=day)
    shop.answer([_one("wrong", 0.95), _one("also wrong", 0.9)], day=20)
    shop.answer([_one("right", 0.4), _one("wrong", 0.05)], day=21)
    assert _pairs(shop, window=7, margin=0.3) == [("reward", "right", "wrong")]


def test_where_no_verifier_tells_the_reward_does_by_the_margin(shop: RewardLake) -> None:
    shop.ask(TEXTS)
    shop.answer([_one("a", 0.9), _one("b", 0.7), _one("c", 0.6), _one("d", 0.1), _one("e", None)])
    assert _pairs(shop) == [("reward", "a", "d")]
    assert _pairs(shop, margin=0.05) == [("reward", "a", "d"), ("reward", "b", "c")]


def test_users_come_before_verifiers_and_nobody_is_contradicted(shop: RewardLake) -> None:
    shop.ask(TEXTS)
    shop.answer([_one("short", 0.9, 1.0), _one("long", 0.0, 0.0)])
    shop.rate([("q0", "long", "up"), ("q0", "short", "down"), ("q1", "x", "up"), ("q2", "both", "up")])
    assert _pairs(shop) == [("feedback", "long", "short")]
    shop.rate([("q2", "both", "up"), ("q2", "both", "down"), ("q2", "worse", "down")])
    assert _pairs(shop) == [("verifier", "short", "long")]  # of q2 users do not agree


def test_a_verifier_that_decides_is_alone_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scorers = [{"name": "json_schema", "keys": ["customer"]}, {"name": "numeric", "decides": True}]
    shop = reward_lake(tmp_path, monkeypatch, model=tmp_path, scorers=scorers)
    shop.ask(TEXTS)
    shop.answer(
        [
            _one("right", 0.4, scores={"json_schema": 0.0, "numeric": 1.0}),
            _one("wrong", 0.6, scores={"json_schema": 1.0, "numeric": 0.0}),
        ]
    )
    assert _pairs(shop) == [("verifier", "right", "wrong")]


@pytest.mark.parametrize("better", [{"finish_reason": "length"}, {"reward": 0.0}, {"text": ""}])
def test_what_was_cut_off_or_is_worth_nothing_is_never_the_better_one(shop: RewardLake, better: dict[str, Any]) -> None:
    shop.ask(TEXTS)
    shop.answer([_one("good", 0.9, 1.0) | better, _one("bad", 0.0, 0.0)])
    with pytest.raises(DataError, match="no query has two responses|none of 1 responses passes"):
        _found(shop)


def test_one_query_has_no_more_pairs_than_others_may(shop: RewardLake) -> None:
    shop.ask(TEXTS)
    answers = [_one(f"good {i}", 1.0, 1.0) for i in range(9)] + [_one(f"bad {i}", 0.0, 0.0) for i in range(9)]
    shop.answer([*answers, *answers])  # each text twice
    found = _pairs(shop)
    assert len(found) == len(set(found)) == PER_QUERY
    assert len({chosen for _, chosen, _ in found}) == PER_QUERY


def test_only_training_prompts_of_the_task_are_used(shop: RewardLake) -> None:
    both = [_one("good", 1.0, 1.0), _one("bad", 0.0, 0.0)]
    shop.answer(both)
    for columns in ({"split": "holdout"}, {"task": "other"}):
        shop.ask({"q0": TEXTS["q0"]}, **columns)
        with pytest.raises(DataError, match="no response to a training prompt of this task was scored"):
            _found(shop)
    shop.ask({"q0": TEXTS["q0"]})
    assert len(_found(shop)) == 1


def test_a_benchmark_item_is_kept_away(shop: RewardLake) -> None:
    shop.ask({"q0": ITEM.upper(), "q1": TEXTS["q1"]})
    both = [_one("good", 1.0, 1.0), _one("bad", 0.0, 0.0)]
    shop.answer([*both, *(one | {"query_id": "q1"} for one in both)])
    window = preferences(shop.flywheel, shop.turn(), task="tickets", lake=shop.lake, window=7, margin=0.5)
    assert [one.prompt.query_id for one in window.preferences] == ["q1"]
    assert window.kept_away == {"benchmark_item": 1}


def test_the_window_ends_with_the_turn(shop: RewardLake) -> None:
    for day in (20, 21, 22):
        shop.ask({"q0": TEXTS["q0"]}, day=day)
        shop.answer([_one(f"good {day}", 1.0, 1.0), _one("bad", 0.0, 0.0)], day=day)
    assert {chosen[-2:] for _, chosen, _ in _pairs(shop, day=21, window=1)} == {"21"}
    window = preferences(shop.flywheel, shop.turn(), task="tickets", lake=shop.lake, window=7, margin=0.5)
    assert window.turns == ["2026-11-20T00:00Z", "2026-11-21T00:00Z"]
    assert window.inputs["rewards"] > 0


def test_why_there_are_no_pairs_is_told(shop: RewardLake) -> None:
    with pytest.raises(MissingInput, match="no rewards of this turn or an earlier one"):
        _found(shop)
    shop.ask(TEXTS)
    shop.answer([_one("a", 0.9, 1.0), _one("b", 0.8, 1.0)])
    with pytest.raises(DataError, match="all 2 responses pass: none is better than another by a margin of 0.5"):
        _found(shop)
    shop.answer([_one("a", 0.0, 0.0), _one("b", 0.0, 0.0)])
    with pytest.raises(DataError, match="none of 2 responses passes") as caught:
        _found(shop)
    assert "task tickets" in str(caught.value) and "widen --window" in str(caught.value)
    with pytest.raises(ConfigError, match="there is no task 'other' .* tasks: tickets"):
        _found(shop, task="other")


def _preference(query_id: str, cluster: str, chosen: str = "a") -> Preference:
    from tao_ops.records import Prompt

    prompt = Prompt(query_id, "tickets", ({"role": "user", "content": f"text {query_id}"},))
    return Preference(prompt, cluster, Pair(Source.REWARD, chosen, "b"))


def test_a_fifth_of_the_queries_is_held_out_one_pair_of_each() -> None:
    found = [_preference(f"q{i}", f"c{i}", chosen) for i in range(20) for chosen in ("a", "c")]
    train, held = held_out(found, seed=1)
    assert len(held) == 4 and len(train) == 2 * 16
    assert not {one.prompt.query_id for one in train} & {one.prompt.query_id for one in held}
    assert held_out(found, seed=1) == (train, held) != held_out(found, seed=2)


def test_queries_that_are_nearly_equal_are_held_out_together() -> None:
    found = [_preference(f"q{i}", f"c{i // 5}") for i in range(20)]
    train, held = held_out(found, seed=1)
    assert len(held) == 5 and len(train) == 15
    assert not {one.cluster for one in train} & {one.cluster for one in held}
    with pytest.raises(DataError, match="all pairs are of one query"):
        held_out(found[:5], seed=1)
