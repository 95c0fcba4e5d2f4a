"""What the gate reads of the probes that ``score`` tried."""

from collections.abc import Sequence
from typing import Any

from tao_ops import turns
from tao_ops.benchmarks.reports import Fall
from tao_ops.records import StageReport
from tao_ops.scoring.falls import falls

Shop = Any


def _row(scorer: str, kind: str, share: float | None, *, variant: str = "", telling: int = 20) -> dict[str, Any]:
    return {"scorer": scorer, "kind": kind, "variant": variant, "share": share, "telling": telling}


def _record(shop: Shop, rows: Sequence[dict[str, Any]], *, day: int = 21, shard: int = 0, **more: Any) -> None:
    fell = [row for row in rows if row["telling"] >= 5 and row["share"] is not None and row["share"] > 0.25]
    fallen = dict.fromkeys((row["scorer"], row["kind"]) for row in fell)
    probes = {"tickets": {"fallen": [list(pair) for pair in fallen], "rows": list(rows)}}
    turns.record(shop.run(day, shard=shard), StageReport("score", metrics={"probes": probes, **more}))


def _found(shop: Shop, *days: int) -> list[Fall]:
    keys = [shop.run(day).turn.key for day in days or (21,)]
    return falls(shop.run().lake, "shop", keys)


def test_the_worst_of_all_shards_and_variants_is_told(shop: Shop) -> None:
    both = [_row("tone", "master key", 0.3), _row("tone", "master key", 0.6, variant=".")]
    _record(shop, both)
    _record(shop, [_row("tone", "master key", 0.7), _row("tone", "empty", 1.0, telling=4)], shard=1)
    lucky = _row("tone", "master key", 1.0, variant=":", telling=4)
    _record(shop, [*both, lucky, _row("tone", "blank", None)], shard=2)
    assert _found(shop) == [Fall("tickets", "tone", "master key", 0.7, 20, shop.run().turn.key)]
    _record(shop, [_row("tone", "master key", 0.5), _row("tone", "master key", 0.9, variant="Solution")], shard=2)
    assert [(one.probe, one.share) for one in _found(shop)] == [("master key (Solution)", 0.9)]


def test_what_was_barred_has_no_part_in_the_reward(shop: Shop) -> None:
    rows = [_row("tone", "empty", 1.0), _row("combined reward", "empty", 0.9)]
    _record(shop, rows)
    assert {one.scorer for one in _found(shop)} == {"tone", "combined reward"}
    _record(shop, [*rows, _row("judge", "empty", 0.8)], barred={"tickets": ["tone"]})
    assert [one.scorer for one in _found(shop)] == ["judge"]


def test_every_turn_that_was_trained_on_counts_and_no_other(shop: Shop) -> None:
    for day, share in ((19, 1.0), (20, 0.6), (21, 0.4)):
        _record(shop, [_row("tone", "empty", share)], day=day)
    assert [one.share for one in _found(shop, 20, 21)] == [0.6, 0.4]


def test_turns_that_have_not_been_scored_say_nothing(shop: Shop) -> None:
    assert _found(shop) == []
