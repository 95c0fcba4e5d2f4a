"""Logs of the interval become redacted queries; what is no query goes to quarantine with its reason."""

import gzip
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from tao_ops.errors import ConfigError, DataError
from tao_ops.routing import prompt_hash
from tao_ops.runner import execute
from tao_ops.stages import Stage, ingest
from tao_ops.tables import QUARANTINE, QUERIES

Shop = Any


def _queries(shop: Shop, **where: Any) -> list[dict[str, Any]]:
    return sorted(shop.run().lake.read(QUERIES, **where).to_pylist(), key=lambda row: row["request_id"])


def _at(line: str, time: str) -> str:
    return json.dumps({**json.loads(line), "received_at": time})


def _quarantine(shop: Shop) -> list[tuple[str, str, str]]:
    rows = shop.run().lake.read(QUARANTINE).to_pylist()
    return sorted((row["reason"], row["position"], row["excerpt"]) for row in rows)


def test_a_day_of_logs_becomes_queries_of_its_turn(shop: Shop) -> None:
    shop.log()
    shop.log(day=22)
    report = ingest.run(shop.run())
    rows = _queries(shop)
    assert (report.rows_in, report.rows_out, report.output_version) == (12, 12, shop.run().lake.version(QUERIES))
    assert report.metrics == {
        "quarantine": {},
        "users": 1,
        "redacted": {},
        "late": {},
        "left": {},
        "late_feedback": {},
        **{name: 0 for name in ("repeated", "held", "other_traffic", "erased")},
    }
    assert {(r["turn"], r["event_turn"], r["task"], r["source"], r["run_id"]) for r in rows} == {
        ("2026-11-21T00:00Z", "2026-11-21T00:00Z", "tickets", "shop", "manual__1")
    }
    assert rows[0]["messages"] == [{"role": "user", "content": "Anna here, my rain jacket never came to Den Haag."}]
    assert len({row["query_id"] for row in rows}) == 12
    assert shop.said == ["2026-11-21.jsonl: 12 queries"]


def test_running_again_replaces_the_turns_rows(shop: Shop) -> None:
    log = shop.log()
    ingest.run(shop.run())
    before = _queries(shop)
    ingest.run(shop.run(run_id="manual__2"))
    assert [{**row, "run_id": "manual__1"} for row in _queries(shop)] == before
    log.write_text("".join(log.read_text(encoding="utf-8").splitlines(keepends=True)[:3]), encoding="utf-8")
    ingest.run(shop.run(run_id="manual__3"))
    assert len(_queries(shop)) == 3


def test_only_the_interval_counts_and_its_end_does_not(shop: Shop) -> None:
    times = ("2026-11-20T23:59:59.999Z", "2026-11-21T00:00:00Z", "2026-11-21T23:59:59Z", "2026-11-22T00:00:00Z")
    lines = [
        json.dumps({**json.loads(shop.line("Anna here, hello", f"r{i}")), "received_at": time})
        for i, time in enumerate(times)
    ]
    shop.log_lines(lines, name="all.jsonl")
    ingest.run(shop.run())
    assert [row["request_id"] for row in _queries(shop)] == ["r1", "r2"]


def test_nothing_personal_is_written(shop: Shop) -> None:
    text = "Anna here, write to anna@example.org or call +49 30 23125 000, order A-48213."
    shop.log([text], user="anna@example.org")
    shop.log_lines([f"{'x' * 190} anna@example.org is no JSON"], name="2026-11-21-broken.jsonl")
    ingest.run(shop.run())
    (row,) = _queries(shop)
    assert row["messages"][0]["content"] == "Anna here, write to <EMAIL_1> or call <PHONE_1>, order A-48213."
    assert row["response"].startswith("Re: Anna here, write to <EMAIL_1>")
    stored = json.dumps([row, _quarantine(shop)], default=str)
    assert "anna@" not in stored and "23125" not in stored


def test_each_broken_line_has_its_reason_and_place(shop: Shop) -> None:
    good = json.loads(shop.line("Anna here, hello", "r0"))
    other_task = shop.line("Anna here, hello", "r9", metadata={"task": "sql"})
    lines = [
        json.dumps(good),
        shop.line("Anna here, something else", "r0"),
        "{",
        json.dumps({**good, "received_at": None}),
        json.dumps({**good, "received_at": "2999-01-01T00:00:00Z"}),
        json.dumps({**good, "request_id": "r5", "request": {}}),
        other_task,
    ]
    path = shop.log_lines(lines, name="2026-11-21.jsonl")
    report = ingest.run(shop.run())
    found = [(reason, position) for reason, position, _ in _quarantine(shop)]
    assert found == [
        ("in_the_future", f"{path}:5"),
        ("no_messages", f"{path}:6"),
        ("no_time", f"{path}:4"),
        ("not_json", f"{path}:3"),
        ("reused_request_id", f"{path}:2"),
        ("unknown_task", f"{path}:7"),
    ]
    assert report.rows_in == 7 and report.rows_out == 1 and sum(report.metrics["quarantine"].values()) == 6


def test_a_line_without_a_time_counts_once_in_the_turn_of_its_files_date(shop: Shop) -> None:
    shop.change("schedule", "0 */12 * * *")
    noon = _at(shop.line("Anna here, hello", "r1"), "2026-11-21T12:00:00Z")
    shop.log_lines([_at(noon, "2026-11-21T01:00:00Z"), "{", noon.replace("r1", "r2")], name="2026-11-21.jsonl")
    day = shop.run()
    execute(Stage.INGEST, replace(day, turn=replace(day.turn, end=day.turn.start.replace(hour=12))))
    assert len(_quarantine(shop)) == 1
    later = shop.run(run_id="later")
    execute(Stage.INGEST, replace(later, turn=replace(later.turn, start=later.turn.start.replace(hour=12))))
    assert [row["turn"] for row in shop.run().lake.read(QUARANTINE).to_pylist()] == ["2026-11-21T00:00Z"]


def test_a_line_without_any_date_is_counted_by_the_first_turn_that_reads_it(shop: Shop) -> None:
    shop.log()
    shop.log(day=22)
    shop.log_lines(["{", "{"], name="undated.jsonl")
    execute(Stage.INGEST, shop.run(day=22, run_id="first"))
    execute(Stage.INGEST, shop.run(day=21, run_id="second"))
    execute(Stage.INGEST, shop.run(day=22, run_id="third"))
    rows = shop.run().lake.read(QUARANTINE).to_pylist()
    assert [row["turn"] for row in rows] == ["2026-11-22T00:00Z"] * 2


def test_the_date_of_a_file_is_where_the_flywheel_lives(shop: Shop) -> None:
    shop.change("timezone", "Europe/Berlin")
    late = json.loads(shop.line("Anna here, hello", "r0"))
    shop.log_lines([json.dumps({**late, "received_at": "2026-11-21T12:00:00+01:00"}), "{"], name="2026-11-21.jsonl")
    run = shop.run()
    hour = run.turn.start.replace(day=20, hour=23)
    ingest.run(replace(run, turn=replace(run.turn, start=hour, end=hour.replace(day=21))))
    assert len(_quarantine(shop)) == 1


def test_files_of_the_same_name_in_several_folders_do_not_collide(shop: Shop) -> None:
    for folder in ("east", "west"):
        shop.log_lines([shop.line("Anna here, hello", folder), "{"], name=f"{folder}/2026-11-21.jsonl")
    report = ingest.run(shop.run())
    assert report.rows_out == 2 and report.metrics["quarantine"] == {"not_json": 2}


def test_a_damaged_file_is_counted_and_stops_nothing(shop: Shop) -> None:
    shop.log()
    cut = shop.log_lines([], name="2026-11-21.jsonl.gz")
    cut.write_bytes(gzip.compress(shop.line("Anna here, hello", "r0").encode())[:-5])
    report = ingest.run(shop.run())
    assert report.rows_out == 12 and report.metrics["quarantine"] == {"damaged_file": 1}
    assert [position for _, position, _ in _quarantine(shop)] == [f"{cut}:1"]


def test_the_same_query_has_one_identity_whatever_the_system_prompt(shop: Shop) -> None:
    user = {"role": "user", "content": "Zoe\u0308 here, hello"}
    composed = {"role": "user", "content": "Zo\u00eb here, hello"}
    lines = [
        shop.line("", "r0", messages=[{"role": "system", "content": "old prompt"}, user]),
        shop.line("", "r1", messages=[composed]),
        shop.line("", "r2", messages=[{"role": "user", "content": "Zoe here, hello"}]),
    ]
    shop.log_lines(lines, name="2026-11-21.jsonl")
    ingest.run(shop.run())
    ids = [row["query_id"] for row in _queries(shop)]
    assert ids[0] == ids[1] != ids[2]


def _refused(shop: Shop, kind: type[Exception], said: str) -> None:
    before = shop.versions()
    with pytest.raises(kind, match=said) as caught:
        ingest.run(shop.run())
    assert "\n" not in str(caught.value) and " — " in str(caught.value)
    assert shop.versions() == before


def test_an_empty_day_changes_nothing(shop: Shop) -> None:
    shop.log(day=20)
    _refused(shop, DataError, r"no query was logged in the interval \[2026-11-21T00:00Z to 2026-11-22T00:00Z\]")
    ingest.run(shop.run(day=20))
    _refused(shop, DataError, "no query was logged")
    assert len(_queries(shop)) == 12


def test_a_day_of_broken_lines_only_changes_nothing(shop: Shop) -> None:
    path = shop.log_lines(["{", "[]", json.dumps({"received_at": "2026-11-21T01:00:00Z"})], name="2026-11-21.jsonl")
    _refused(shop, DataError, rf"none of the interval's 3 lines is a query \(2 not_json, 1 no_messages\).*{path}:1")


def test_no_log_at_all_names_the_pattern(shop: Shop) -> None:
    _refused(shop, DataError, r"no query log matches \[.*/logs/\*\*/\*\.jsonl\*\] — mend the pattern")


def test_without_a_key_no_user_is_hashed(shop: Shop) -> None:
    shop.log()
    run = shop.run()
    with pytest.raises(ConfigError, match="TAO_HASH_KEY"):
        ingest.run(replace(run, settings=replace(run.settings, hash_key=None)))
    assert set(shop.versions().values()) == {None}


def test_two_namespaces_may_use_the_same_request_ids(shop: Shop) -> None:
    shop.log(name="web/2026-11-21.jsonl")
    shop.log(name="mail/2026-11-21.jsonl")
    folders = ("web", "mail")
    shop.change("sources", [{"path": f"${{TAO_HOME}}/logs/{n}/*.jsonl", "namespace": n} for n in folders])
    report = ingest.run(shop.run())
    assert report.rows_out == 24 and report.metrics["quarantine"] == {}
    assert {(r["source"], r["request_id"]) for r in _queries(shop)} == {
        (n, r["request_id"]) for n in folders for r in _queries(shop)
    }


def test_overlapping_exports_give_each_query_once(shop: Shop) -> None:
    lines = [shop.line(f"Anna here, parcel {n}", f"r{n}") for n in range(10)]
    shop.log_lines(lines[:6], name="a.jsonl")
    shop.log_lines(lines[3:], name="b.jsonl")
    shop.log_lines(lines, name="c.jsonl")
    report = ingest.run(shop.run())
    assert report.rows_out == 10 and report.metrics["repeated"] == 13 and report.metrics["quarantine"] == {}


def test_a_query_without_a_request_id_is_taken_once_too(shop: Shop) -> None:
    lines = [shop.line(text, "") for text in ("Anna here, hello", "Bela here, hello", "Anna here, hello")]
    shop.log_lines(lines, name="a.jsonl")
    report = ingest.run(shop.run())
    assert report.rows_out == 2 and len({row["request_id"] for row in _queries(shop)} - {""}) == 2


def _late_log(shop: Shop) -> None:
    """Day 20 has run; then more of it arrives, and a line that is broken."""
    shop.log(day=20)
    shop.log(day=21)
    execute(Stage.INGEST, shop.run(day=20))
    late = [_at(shop.line(f"Late {n}, hello there", f"late-{n}"), "2026-11-20T23:50:00Z") for n in range(3)]
    shop.log_lines([*late, _at(shop.line("", "x"), "2026-11-20T23:51:00Z")], name="delayed.jsonl")


def test_late_queries_are_taken_once_with_both_turns(shop: Shop) -> None:
    _late_log(shop)
    report = execute(Stage.INGEST, shop.run(day=21, run_id="r2"))
    assert report.metrics["late"] == {"2026-11-20T00:00Z": 3} and report.rows_out == 15
    assert report.metrics["quarantine"] == {"no_messages": 1}
    assert "late: 3 queries of turn 2026-11-20T00:00Z, logged after it ran" in shop.said
    late = [row for row in _queries(shop) if row["request_id"].startswith("late-")]
    assert {(row["turn"], row["event_turn"]) for row in late} == {("2026-11-21T00:00Z", "2026-11-20T00:00Z")}

    again = execute(Stage.INGEST, shop.run(day=20, run_id="r3"))
    assert again.rows_out == 12 and again.metrics["held"] == 3 and again.metrics["quarantine"] == {}
    same = execute(Stage.INGEST, shop.run(day=21, run_id="r4"))
    assert same.metrics == report.metrics
    third = shop.log(day=22) and execute(Stage.INGEST, shop.run(day=22, run_id="r5"))
    assert third.rows_out == 12 and third.metrics["late"] == {} and third.metrics["quarantine"] == {}


def test_feedback_that_comes_after_its_turn_ran_is_said_and_taken_when_it_runs_again(shop: Shop) -> None:
    lines = [json.loads(shop.line(f"Anna here, parcel {n}", f"r{n}", day=20)) for n in range(4)]
    lines[3]["feedback"] = "up"
    shop.log_lines([json.dumps(line) for line in lines], name="20.jsonl")
    shop.log(day=21)
    execute(Stage.INGEST, shop.run(day=20))
    assert execute(Stage.INGEST, shop.run(day=21)).metrics["late_feedback"] == {}
    lines[0]["feedback"], lines[1]["corrected"] = "down", "Yes."
    shop.log_lines([json.dumps(line) for line in lines], name="20.jsonl")
    report = execute(Stage.INGEST, shop.run(day=21, run_id="r2"))
    assert report.metrics["late_feedback"] == {"2026-11-20T00:00Z": 2} and report.rows_out == 12
    assert (
        "feedback: 2 answers of turn 2026-11-20T00:00Z were judged after it ran: run it again to take that" in shop.said
    )
    execute(Stage.INGEST, shop.run(day=20, run_id="r3"))
    told = {
        row["request_id"]: (row["feedback"], row["corrected"])
        for row in _queries(shop)
        if row["request_id"][1:] in "0123"
    }
    assert told == {"r0": ("down", None), "r1": (None, "Yes."), "r2": (None, None), "r3": ("up", None)}
    assert execute(Stage.INGEST, shop.run(day=21, run_id="r4")).metrics["late_feedback"] == {}


def test_the_old_turn_may_take_them_first(shop: Shop) -> None:
    _late_log(shop)
    assert execute(Stage.INGEST, shop.run(day=20, run_id="r2")).rows_out == 15
    report = execute(Stage.INGEST, shop.run(day=21, run_id="r3"))
    assert report.rows_out == 12 and report.metrics["late"] == {} and report.metrics["quarantine"] == {}


def test_what_a_turn_that_never_ran_would_take_is_left_for_it_and_said(shop: Shop) -> None:
    shop.log(day=20)
    shop.log(day=21)
    report = execute(Stage.INGEST, shop.run(day=21))
    assert report.rows_out == 12 and report.metrics["left"] == {"2026-11-20T00:00Z": 12}
    assert "left: 12 queries of turn 2026-11-20T00:00Z, which has not run: run it to take them" in shop.said
    assert execute(Stage.INGEST, shop.run(day=20)).rows_out == 12


def test_beyond_the_lateness_nothing_is_taken(shop: Shop) -> None:
    shop.change("ingest", {"lateness": "10m"})
    _late_log(shop)
    early = _at(shop.line("Too late, hello there", "late-9"), "2026-11-20T23:49:59Z")
    shop.log_lines([early], name="more.jsonl")
    report = execute(Stage.INGEST, shop.run(day=21))
    assert report.metrics["late"] == {"2026-11-20T00:00Z": 3}


def test_rules_name_the_task_and_leave_other_traffic_alone(shop: Shop) -> None:
    rules = [
        {"task": "tickets", "model": "shop-*"},
        {"task": "tickets", "tag": "support"},
        {"task": "tickets", "route": "/v1/tickets"},
        {"task": "tickets", "system_prompt": prompt_hash("Be brief.")[:16]},
    ]
    shop.change("sources", [{"path": "${TAO_HOME}/logs/*.jsonl", "tasks": rules}])
    brief = [{"role": "system", "content": " Be brief.\n"}, {"role": "user", "content": "Anna here, hello"}]
    lines = [
        shop.line("Anna here, hello", "by-model", model="shop-large"),
        json.dumps({**json.loads(shop.line("Anna here, hello", "by-tag")), "tags": ["x", "support"]}),
        json.dumps({**json.loads(shop.line("Anna here, hello", "by-route")), "route": "/v1/tickets"}),
        shop.line("", "by-prompt", messages=brief),
        shop.line("Private talk with another model", "other", model="gpt"),
    ]
    shop.log_lines(lines, name="a.jsonl")
    report = ingest.run(shop.run())
    assert [row["request_id"] for row in _queries(shop)] == ["by-model", "by-prompt", "by-route", "by-tag"]
    assert report.metrics["other_traffic"] == 1 and report.metrics["quarantine"] == {}


def test_the_same_person_has_the_same_placeholder_in_question_and_answer(shop: Shop) -> None:
    line = json.loads(shop.line("I am anna@example.org, not bob@example.org", "r0"))
    line["response"]["choices"][0]["message"]["content"] = "Thanks, bob@example.org is not anna@example.org."
    shop.log_lines([json.dumps(line)], name="a.jsonl")
    report = ingest.run(shop.run())
    (row,) = _queries(shop)
    assert row["messages"][0]["content"] == "I am <EMAIL_1>, not <EMAIL_2>"
    assert row["response"] == "Thanks, <EMAIL_2> is not <EMAIL_1>."
    assert report.metrics["redacted"] == {"email": 4}


def test_two_turns_at_once_give_what_one_after_the_other_would(shop: Shop) -> None:
    shop.log()
    shop.log(day=22)
    execute(Stage.INGEST, shop.run(day=21))
    late = [_at(shop.line(f"Late {n}, hello there", f"late-{n}"), "2026-11-21T23:50:00Z") for n in range(3)]
    shop.log_lines(late, name="delayed.jsonl")
    runs = [shop.run(day=21, run_id="backfill"), shop.run(day=22, run_id="nightly")]
    with ThreadPoolExecutor(2) as pool:
        reports = list(pool.map(lambda run: execute(Stage.INGEST, run), runs))
    assert sorted(report.rows_out for report in reports) in ([12, 15],)
    assert len({row["request_id"] for row in _queries(shop)}) == len(_queries(shop)) == 27


def test_a_conversation_longer_than_any_context_is_counted(shop: Shop) -> None:
    lines = [shop.line("Anna here, hello", "r0"), shop.line("x" * (1 << 20), "r1"), shop.line("y" * (1 << 19), "r2")]
    shop.log_lines(lines, name="a.jsonl")
    report = ingest.run(shop.run())
    # The answer to r2 repeats it, and the two are measured apart.
    assert report.rows_out == 2 and report.metrics["quarantine"] == {"too_long": 1}


def test_an_id_that_another_turn_holds_for_another_query_is_counted_not_lost(shop: Shop) -> None:
    shop.log_lines([shop.line(f"Monday {n}, hello there", f"r{n}", day=20) for n in range(3)], name="2026-11-20.jsonl")
    shop.log_lines(
        [shop.line(f"Tuesday {n}, hello there", f"r{n + 2}", day=21) for n in range(3)], name="2026-11-21.jsonl"
    )
    execute(Stage.INGEST, shop.run(day=20))
    report = execute(Stage.INGEST, shop.run(day=21))
    assert report.rows_out == 2 and report.metrics["quarantine"] == {"reused_request_id": 1}
    assert report.metrics["held"] == 0


def test_less_lateness_later_takes_nothing_twice(shop: Shop) -> None:
    shop.change("ingest", {"lateness": "5d"})
    for day in (17, 22):
        shop.log(day=day)
    execute(Stage.INGEST, shop.run(day=17))
    shop.log_lines([shop.line("Late, hello there", "late", day=17)], name="delayed.jsonl")
    assert execute(Stage.INGEST, shop.run(day=22)).metrics["late"] == {"2026-11-17T00:00Z": 1}
    shop.change("ingest", {"lateness": "1d"})
    report = execute(Stage.INGEST, shop.run(day=17, run_id="again"))
    assert report.rows_out == 12 and report.metrics["held"] == 1


def test_a_broken_row_of_a_table_is_counted_by_one_turn(shop: Shop) -> None:
    table = str(shop.settings.home / "payloads")
    times = [datetime(2026, 11, day, 12, tzinfo=UTC) for day in (20, 21, 20, 21)]
    texts = ["Anna here, hello there", "Bela here, hello there", "", ""]
    write_deltalake(table, pa.table({"at": pa.array(times, pa.timestamp("us", "UTC")), "said": texts}))
    shop.change("sources", [{"format": "table", "path": table, "columns": {"received_at": "at", "text": "said"}}])
    for day in (20, 21):
        assert execute(Stage.INGEST, shop.run(day=day)).metrics["quarantine"] == {"no_messages": 1}


def test_two_exports_that_tell_a_calls_time_differently_make_no_refusal_in_the_next_turn(shop: Shop) -> None:
    lines = [shop.line(f"Query {n}, hello there", f"r{n}", day=20) for n in range(3)]
    shop.log_lines(lines, name="gateway.jsonl")
    shop.log_lines([_at(line, "2026-11-20T12:00:07Z") for line in lines], name="proxy.jsonl")
    shop.log(day=21)
    assert execute(Stage.INGEST, shop.run(day=20)).metrics["repeated"] == 3
    assert execute(Stage.INGEST, shop.run(day=21)).metrics["quarantine"] == {}
