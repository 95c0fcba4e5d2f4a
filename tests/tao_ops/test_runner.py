"""A stage runs under its lease and is recorded, or leaves no trace."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tao_ops import lease, runner, turns
from tao_ops.database import advisory_lock, connect, front_door
from tao_ops.errors import DataError, LeaseHeld, RegistryError
from tao_ops.stages import Stage
from tao_ops.story import MARKED, OWN, READER
from tao_ops.tables import CLUSTERS, TABLES, TURNS

Shop = Any


def test_a_stage_is_recorded_with_what_it_did(shop: Shop) -> None:
    shop.log()
    run = shop.run()
    report = runner.execute(Stage.INGEST, run)
    (row,) = run.lake.read(TURNS).to_pylist()
    assert (row["stage"], row["shard"], row["status"], row["run_id"]) == ("ingest", 0, "done", "manual__1")
    assert (row["rows_in"], row["rows_out"], row["output_version"]) == (12, 12, report.output_version)
    assert row["config_digest"] == run.flywheel.digest and row["seconds"] == report.seconds > 0
    assert row["code_version"] and row["finished_at"].tzinfo is not None
    assert shop.said[0] == "ingest: shop, turn 2026-11-21T00:00Z, run manual__1"
    assert shop.said[-1].startswith("ingest done in ") and shop.said[-1].endswith("12 rows in, 12 rows out; users 1")


def test_a_turns_log_tells_of_each_stage_what_came_in_and_what_went_out(shop: Shop) -> None:
    shop.log()
    for stage in list(Stage)[:6]:
        runner.execute(stage, shop.run())
    told = [line for line in shop.said if line.startswith(("in: ", "out: "))]
    candidate = told[9].removeprefix("out: candidate ").partition(",")[0]
    assert told[0] == (
        f"in: query logs of 2026-11-21T00:00Z to 2026-11-22T00:00Z in {shop.settings.home}/logs/**/*.jsonl*, "
        "and late ones since 2026-11-19T00:00Z"
    )
    assert told[1].startswith("out: 12 rows of queries (version ")
    assert told[2] == told[1].replace("out", "in") and told[4] == told[3].replace("out", "in")
    assert told[8].startswith("in: ") and all(
        f"rows of {name}" in told[8] for name in ("prompts", "responses", "rewards")
    )
    assert candidate and told[10] == f"in: candidate {candidate}: raft on {told[10].split(' on ')[1]}"
    assert "rows of evaluations (version " in told[11] and len(told) == 12


def test_rows_that_another_run_wrote_are_said_to_be_its(shop: Shop) -> None:
    shop.log()
    runner.execute(Stage.INGEST, shop.run())
    runner.execute(Stage.VALIDATE, shop.run(run_id="manual__2"))
    assert any(line.startswith("in: ") and line.endswith(", written by run manual__1") for line in shop.said)


def test_a_log_that_folds_gets_the_settings_and_the_stages_own_words_marked(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(READER, MARKED)
    shop.log()
    runner.execute(Stage.INGEST, shop.run())
    assert all(line.startswith(OWN) for line in shop.said)
    assert shop.said[1] == f"{OWN}::group::settings of ingest" and f"{OWN}timezone: UTC" in shop.said
    assert shop.said.index(f"{OWN}::endgroup::") < len(shop.said) - 3


def test_the_last_line_of_a_stage_says_what_was_refused(shop: Shop) -> None:
    shop.log()
    shop.log_lines(["{broken", "{broken", shop.line("write to anna@example.org", "r")], name="2026-11-21-more.jsonl")
    runner.execute(Stage.INGEST, shop.run())
    assert shop.said[-1].endswith("13 rows out; quarantine 2 not_json; users 1; redacted 2 email")


def test_a_whole_turn_twice_holds_each_row_once(shop: Shop) -> None:
    shop.change("generate.shards", 2)
    shop.log()

    def turn(run_id: str) -> dict[str, int]:
        for stage in list(Stage)[:6]:
            for shard in (0, 1) if stage in (Stage.GENERATE, Stage.SCORE) else (0,):
                runner.execute(stage, shop.run(run_id=run_id, shard=shard))
        return {name: shop.run().lake.read(table).num_rows for name, table in TABLES.items()}

    first = turn("manual__1")
    assert turn("manual__2") == first and all(count for name, count in first.items() if name != "quarantine")
    for table in TABLES.values():
        rows = shop.run().lake.read(table).to_pylist()
        seen_first = {"manual__1"} if table is CLUSTERS else {"manual__2"}
        assert {row["run_id"] for row in rows} <= seen_first, table.name
        identities = [tuple(row[column] for column in (*table.partition, *table.key)) for row in rows]
        assert len(set(identities)) == len(rows), table.name


def test_a_stage_that_fails_is_not_recorded_and_frees_the_turn(shop: Shop) -> None:
    with pytest.raises(DataError):
        runner.execute(Stage.INGEST, shop.run())
    assert set(shop.versions().values()) == {None}
    shop.log()
    assert runner.execute(Stage.INGEST, shop.run(run_id="manual__2")).rows_out == 12


def test_a_turn_that_another_run_holds_is_left_alone(shop: Shop) -> None:
    shop.log()
    run = shop.run()
    with (
        lease.hold(run.database_url, run.turn, "manual__0", "update", keep_between=False),
        pytest.raises(LeaseHeld, match="is held by run manual__0 .* stage update"),
    ):
        runner.execute(Stage.INGEST, run)
    assert set(shop.versions().values()) == {None} and shop.said == []


def test_a_run_that_goes_on_keeps_its_turn_until_it_registers(shop: Shop) -> None:
    shop.log()
    runner.execute(Stage.INGEST, replace(shop.run(), keep_turn=True))
    with pytest.raises(LeaseHeld, match="manual__1"):
        runner.execute(Stage.INGEST, shop.run(run_id="manual__2"))
    runner.execute(Stage.VALIDATE, shop.run())
    assert runner.execute(Stage.INGEST, shop.run(run_id="manual__2")).rows_out == 12


def test_runs_of_different_turns_do_not_meet(shop: Shop) -> None:
    shop.log()
    run = shop.run()
    other = replace(run.turn, start=run.turn.end, end=run.turn.end + timedelta(days=1))
    with lease.hold(run.database_url, other, "manual__0", "update", keep_between=False):
        assert runner.execute(Stage.INGEST, run).rows_out == 12
    assert turns.newest_run_id(run.lake, run.turn) == "manual__1" and turns.newest_run_id(run.lake, other) is None


def _holding(run: Any, flywheel: str) -> Any:
    """What another turn of a flywheel does while it is at its front door."""
    holder = ExitStack()
    holder.enter_context(advisory_lock(holder.enter_context(connect(run.database_url)), front_door(flywheel)))
    return holder


@pytest.mark.parametrize("stage", [Stage.INGEST, Stage.VALIDATE])
def test_a_second_turn_of_a_flywheel_waits_at_the_front_door_and_says_so(shop: Shop, stage: Stage) -> None:
    shop.log()
    shop.log(day=22)
    if stage is Stage.VALIDATE:
        runner.execute(Stage.INGEST, shop.run())
    told, run = threading.Event(), replace(shop.run(run_id="r2"), say=lambda line: (shop.said.append(line), told.set()))
    shop.said.clear()
    with ThreadPoolExecutor(1) as pool:
        with _holding(run, "shop"):
            done = pool.submit(runner.execute, stage, run)
            assert told.wait(30)
            assert shop.said == ["another turn of shop is at its ingest or validate: waiting for it"]
            assert not done.done() and shop.run().lake.read(TURNS, stage=stage.value, run_id="r2").num_rows == 0
        assert done.result(60).rows_in == 12


def test_a_front_door_that_stays_shut_is_one_line_and_nothing_is_written(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "FRONT_DOOR_SECONDS", 0.2)
    shop.log()
    run = shop.run()
    with _holding(run, "shop"), pytest.raises(RegistryError, match="for the lock 'front door shop'") as caught:
        runner.execute(Stage.INGEST, run)
    assert caught.value.retryable and set(shop.versions().values()) == {None}
    assert runner.execute(Stage.INGEST, shop.run(run_id="manual__2")).rows_out == 12, "the turn is free again"


def test_another_flywheels_front_door_is_another(shop: Shop) -> None:
    shop.log()
    run = shop.run()
    with _holding(run, "other"):
        assert runner.execute(Stage.INGEST, run).rows_out == 12
    assert not any("waiting" in line for line in shop.said)


def test_later_stages_do_not_wait_at_the_front_door(shop: Shop) -> None:
    shop.log()
    for stage in (Stage.INGEST, Stage.VALIDATE):
        runner.execute(stage, shop.run())
    with _holding(shop.run(), "shop"):
        for stage in (Stage.GENERATE, Stage.SCORE):
            assert runner.execute(stage, shop.run()).rows_out > 0
    assert not any("waiting" in line for line in shop.said)
