"""Logs of the interval become redacted queries; what is no query goes to quarantine with its reason."""

import gzip
import json
from dataclasses import replace
from typing import Any

import pytest

from tao_ops.errors import ConfigError, DataError
from tao_ops.stages import ingest
from tao_ops.tables import QUARANTINE, QUERIES

Shop = Any


def _queries(shop: Shop, **where: Any) -> list[dict[str, Any]]:
    return sorted(shop.run().lake.read(QUERIES, **where).to_pylist(), key=lambda row: row["request_id"])


def _quarantine(shop: Shop) -> list[tuple[str, str, str]]:
    rows = shop.run().lake.read(QUARANTINE).to_pylist()
    return sorted((row["reason"], row["position"], row["excerpt"]) for row in rows)


def test_a_day_of_logs_becomes_queries_of_its_turn(shop: Shop) -> None:
    shop.log()
    shop.log(day=22)
    report = ingest.run(shop.run())
    rows = _queries(shop)
    assert (report.rows_in, report.rows_out, report.output_version) == (12, 12, shop.run().lake.version(QUERIES))
    assert report.metrics == {"quarantine": {}, "users": 1}
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
        json.dumps(good),
        "{",
        json.dumps({**good, "received_at": None}),
        json.dumps({**good, "request_id": ""}),
        json.dumps({**good, "request_id": "r5", "request": {}}),
        other_task,
    ]
    path = shop.log_lines(lines, name="2026-11-21.jsonl")
    report = ingest.run(shop.run())
    found = [(reason, position) for reason, position, _ in _quarantine(shop)]
    assert found == [
        ("no_messages", f"{path}:6"),
        ("no_request_id", f"{path}:5"),
        ("no_time", f"{path}:4"),
        ("not_json", f"{path}:3"),
        ("repeated_request", f"{path}:2"),
        ("unknown_task", f"{path}:7"),
    ]
    assert report.rows_in == 7 and report.rows_out == 1 and sum(report.metrics["quarantine"].values()) == 6


def test_a_line_without_a_time_counts_once_in_the_turn_of_its_files_date(shop: Shop) -> None:
    shop.change("schedule", "0 */12 * * *")
    shop.log_lines([shop.line("Anna here, hello", "r0"), "{"], name="2026-11-21.jsonl")
    shop.log_lines(["{", "{"], name="undated.jsonl")
    day = shop.run()
    noon = day.turn.start.replace(hour=12)
    ingest.run(replace(day, turn=replace(day.turn, start=noon)))
    assert _quarantine(shop) == []
    ingest.run(day)
    assert len(_quarantine(shop)) == 1


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


def test_zipped_logs_are_read_too_and_a_damaged_one_stops_the_stage(shop: Shop) -> None:
    path = shop.log_lines([], name="2026-11-21.jsonl.gz")
    content = gzip.compress(shop.line("Anna here, hello", "r0").encode())
    path.write_bytes(content)
    ingest.run(shop.run())
    assert len(_queries(shop)) == 1
    before = shop.versions()
    path.write_bytes(content[:-5])
    with pytest.raises(DataError, match=r"damaged gzip .*2026-11-21\.jsonl\.gz"):
        ingest.run(shop.run())
    assert shop.versions() == before


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
    _refused(shop, DataError, rf"none of the interval's 3 lines is a query \(2 not_json, 1 no_request_id\).*{path}:1")


def test_no_log_at_all_names_the_pattern(shop: Shop) -> None:
    _refused(shop, DataError, r"no query log matches \[.*/logs/\*\*/\*\.jsonl\*\] — mend 'sources\.path'")


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
