"""Shards part a turn's training prompts, the same way for every stage."""

from typing import Any

import pytest

from tao_ops import splits
from tao_ops.errors import MissingInput
from tao_ops.records import StageReport
from tao_ops.shards import check_fresh, shard_prompts
from tao_ops.tables import PROMPTS
from tao_ops.turns import record

Shop = Any


@pytest.mark.parametrize("shards", [1, 2, 5, 64])
def test_each_training_prompt_is_in_exactly_one_shard(shop: Shop, shards: int) -> None:
    shop.change("generate.shards", shards)
    run = shop.run()
    messages = [{"role": "user", "content": "hi"}]
    rows = [
        {
            "query_id": f"q{i}",
            "task": "tickets",
            "cluster": f"c{i}",
            "messages": messages,
            "split": "holdout" if i % 4 == 0 else "train",
        }
        for i in range(10)
    ]
    run.lake.write(PROMPTS, rows, turn=run.turn, run_id="r")
    parts = [shard_prompts(run.lake, run.flywheel, run.turn, shard) for shard in range(min(shards, 10))]
    ids = [prompt.query_id for part in parts for prompt in part]
    assert sorted(ids) == [f"q{i}" for i in range(10) if i % 4]
    assert parts == [shard_prompts(run.lake, run.flywheel, run.turn, shard) for shard in range(min(shards, 10))]
    assert parts[0][0].text == "hi"


def test_a_shard_that_was_sampled_before_the_prompts_were_made_is_named(shop: Shop) -> None:
    run = shop.run()
    check_fresh(run.lake, run.turn)
    for shard in range(2):
        record(shop.run(shard=shard), StageReport("generate"))
    record(run, StageReport("validate"))
    record(shop.run(shard=1), StageReport("generate"))
    check_fresh(run.lake, run.turn, 1)
    for shard in (0, None):
        with pytest.raises(MissingInput, match="shard 0 are older than the turn's prompts .* run generate and score"):
            check_fresh(run.lake, run.turn, shard)


def test_without_prompts_it_says_what_to_run(shop: Shop) -> None:
    run = shop.run()
    with pytest.raises(MissingInput, match="run validate first"):
        shard_prompts(run.lake, run.flywheel, run.turn, 0)


def test_the_order_does_not_depend_on_an_installations_key(shop: Shop) -> None:
    run, orders = shop.run(), []
    for key in ("a", "b"):
        rows = [
            {
                "query_id": splits.digest(f"{key} {text}"),
                "task": "tickets",
                "cluster": splits.cluster_id(key.encode(), "tickets", text),
                "messages": [{"role": "user", "content": text}],
                "split": "train",
            }
            for text in ("one", "two", "three", "four")
        ]
        run.lake.write(PROMPTS, rows, turn=run.turn, run_id="r")
        orders.append([prompt.text for prompt in shard_prompts(run.lake, run.flywheel, run.turn, 0)])
    assert orders[0] == orders[1]
