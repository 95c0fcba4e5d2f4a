"""What is erased is gone from tables, files and logs, does not come back, and names the releases that it touched."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from tao_ops import erasure, trained_rows
from tao_ops.cli import app
from tao_ops.database import advisory_lock, connect, front_door
from tao_ops.erasure_plan import TABLES, Subject
from tao_ops.errors import RegistryError
from tao_ops.files import read_json, write_json
from tao_ops.lake import Lake
from tao_ops.privacy import keyed_hash
from tao_ops.scoring.labels import response_id
from tao_ops.stages import Run, gate, generate, ingest, register, score, update, validate
from tao_ops.tables import CLUSTERS, ERASURES, PROMPTS, QUARANTINE, QUERIES, RESPONSES, REWARDS
from tao_ops.turn import Turn

ANNA, BELA = Subject(user_hash="hash-anna"), "hash-bela"
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
Told = dict[str, list[str]]


@pytest.fixture
def run(new_turn: Callable[..., Any]) -> Run:
    """A flywheel with two turns; on the 21st Anna and Bela both sent ``both``, on the 22nd only Anna did."""
    first, second = new_turn(21).run, new_turn(22).run
    _turn(first, {"anna": ANNA.user_hash, "both": ANNA.user_hash, "bela": BELA, "shared": BELA}, repeats="both")
    _turn(second, {"both": ANNA.user_hash, "late": BELA})
    return first  # type: ignore[no-any-return]


def _turn(run: Run, senders: dict[str, str | None], repeats: str | None = None) -> None:
    """A turn whose queries' ids are the words in their texts; ``repeats`` was sent by Bela too."""
    sent = [*senders.items(), *([(repeats, BELA)] if repeats else [])]
    day = f"{run.turn.start:%d}"
    queries = [_query(f"r{day}-{n}", query_id, user) for n, (query_id, user) in enumerate(sent)]
    ids = [query_id for query_id in senders if query_id != "shared"]
    prompts = [_prompt(i, count=2 if i == repeats else 1) for i in ids]
    write = {"turn": run.turn, "run_id": run.run_id}
    run.lake.write(QUERIES, queries, **write)
    run.lake.write(PROMPTS, prompts, **write)
    have = set(run.lake.read(CLUSTERS).column("query_id").to_pylist())
    clusters = [
        {"task": "tickets", "query_id": i, "cluster": i, "split": "train", "signature": b""}
        for i in ids
        if i not in have
    ]
    run.lake.write(CLUSTERS, clusters, **write)
    run.lake.write(RESPONSES, [_response(i) for i in ids], shard=0, **write)
    run.lake.write(REWARDS, [{"response_id": i, "query_id": i, "reward": 1.0} for i in ids], shard=0, **write)
    refused = {"source": "shop", "reason": "expectation", "excerpt": "TEXT shared"}
    old = [{**refused, "position": q["request_id"]} for q in queries if q["query_id"] == "shared"]
    run.lake.write(QUARANTINE, old, stage="validate", **write)
    broken = [{**refused, "position": f"{day}.jsonl:{n}", "user_hash": u} for n, u in enumerate((ANNA.user_hash, BELA))]
    run.lake.write(QUARANTINE, broken, stage="ingest", **write)


def _query(request_id: str, query_id: str, user: str | None) -> dict[str, Any]:
    return {
        "query_id": query_id, "request_id": request_id, "source": "shop", "event_turn": "t", "task": "tickets",
        "received_at": NOW, "messages": [{"role": "user", "content": f"TEXT {query_id}"}],
        "response": f"ANSWER {query_id} to {user}", "user_hash": user, "redactor_version": "1",
    }  # fmt: skip


def _prompt(query_id: str, count: int) -> dict[str, Any]:
    messages = [{"role": "user", "content": f"TEXT {query_id}"}]
    return {
        "query_id": query_id, "task": "tickets", "messages": messages, "count": count, "cluster": query_id,
        "split": "train",
    }  # fmt: skip


def _response(query_id: str) -> dict[str, Any]:
    return {"response_id": query_id, "query_id": query_id, "text": f"RE {query_id}", "answer": f"RE {query_id}"}


def _candidate(run: Run, name: str, *rows: tuple[int, str], base: str = "base") -> Path:
    """A candidate that was trained on queries of turns, each as its day and id; also the run's newest."""
    folder = run.lake.artifacts(run.turn, run.run_id) / name
    folder.mkdir(exist_ok=True)
    trained = [{"turn": f"2026-11-{day}T00:00Z", "query_id": i, "response": f"RE {i}"} for day, i in rows]
    pq.write_table(pa.Table.from_pylist(trained), folder / "training_rows.parquet")
    told = {
        "model_version": name, "base": {"version": 0, "model_version": base}, "rows": len(rows),
        "lineage": {"training_rows_sha256": "of all rows", "python": "3.11"},
    }  # fmt: skip
    write_json(folder / "manifest.json", told)
    write_json(folder.parent / "candidate.json", told)
    return folder


def _erase(run: Run, subject: Subject = ANNA, *, dry_run: bool = False, say: Any = None) -> erasure.Erasure:
    return erasure.erase(
        run.flywheel.name,
        subject,
        lake=run.lake,
        settings=run.settings,
        url=run.database_url,
        dry_run=dry_run,
        say=say or run.say,
    )


def _left(lake: Lake) -> Told:
    """By table: what is left, as ``day:query_id``."""
    found = {}
    for table in (QUERIES, PROMPTS, CLUSTERS, RESPONSES, REWARDS):
        found[table.name] = sorted(f"{r['turn'][8:10]}:{r['query_id']}" for r in lake.read(table).to_pylist())
    quarantine = lake.read(QUARANTINE).to_pylist()
    found["quarantine"] = sorted(f"{row['stage']} {row['position']} {row['user_hash']}" for row in quarantine)
    return found


def _stored(lake: Lake) -> str:
    """All that lies in the lake's files: the rows of every Parquet file, dead ones too, and the logs."""
    every = (path for path in Path(lake.root).rglob("*") if path.is_file())
    return "\n".join(
        str(pq.ParquetFile(path).read().to_pylist())
        if path.suffix == ".parquet"
        else path.read_text(encoding="utf-8", errors="replace")
        for path in every
        if "erasures" not in path.parts
    )


AFTER: Told = {
    "queries": ["21:bela", "21:both", "21:shared", "22:late"],
    "prompts": ["21:bela", "21:both", "22:late"],
    "clusters": ["21:bela", "21:both", "22:late"],
    "responses": ["21:bela", "21:both", "22:late"],
    "rewards": ["21:bela", "21:both", "22:late"],
    "quarantine": ["ingest 21.jsonl:1 hash-bela", "ingest 22.jsonl:1 hash-bela", "validate r21-3 None"],
}


def test_a_persons_rows_go_from_every_table_and_what_others_sent_too_stays(run: Run) -> None:
    done = _erase(run)
    assert _left(run.lake) == AFTER
    assert done.rows == {"rewards": 2, "responses": 2, "prompts": 2, "clusters": 1, "quarantine": 2, "queries": 3}
    (both,) = run.lake.read(PROMPTS, query_id="both").to_pylist()
    assert (both["turn"], both["count"]) == ("2026-11-21T00:00Z", 1)


def test_the_answer_that_a_person_rated_goes_and_another_persons_to_the_same_query_stays(run: Run) -> None:
    ids = {user: response_id("both", f"ANSWER both to {user}") for user in (ANNA.user_hash, BELA)}
    rated = [{"response_id": one, "query_id": "both", "reward": 0.5} for one in ids.values()]
    run.lake.write(REWARDS, rated, turn=run.turn, run_id=run.run_id, shard=1)
    dry, done = _erase(run, dry_run=True), _erase(run)
    assert dry.rows == done.rows and done.rows["rewards"] == 3
    left = run.lake.read(REWARDS, shard=1).column("response_id").to_pylist()
    assert left == [ids[BELA]]


def test_nothing_of_it_is_left_in_any_file_or_log(run: Run) -> None:
    before = _stored(run.lake)
    assert "TEXT anna" in before and "ANSWER anna" in before and "hash-anna" in before
    done = _erase(run)
    after = _stored(run.lake)
    for word in ("TEXT anna", "ANSWER anna", "RE anna", "ANSWER both to hash-anna", "hash-anna"):
        assert word not in after, word
    assert "TEXT bela" in after and all(done.files[table.name] for table in TABLES)


def test_a_dry_run_counts_the_same_and_changes_nothing(run: Run) -> None:
    candidate = _candidate(run, "cand", (21, "anna"), (21, "bela"))
    before = _stored(run.lake)
    counted = _erase(run, dry_run=True)
    assert _stored(run.lake) == before and run.lake.version(ERASURES) is None
    assert pq.read_table(candidate / "training_rows.parquet").num_rows == 2
    done = _erase(run)
    assert (counted.rows, counted.training_rows) == (done.rows, done.training_rows)


def test_a_query_goes_whoever_sent_it_and_with_what_validate_refused_of_it(run: Run) -> None:
    done = _erase(run, Subject(query_id="shared"))
    assert done.rows["queries"] == done.rows["quarantine"] == 1 and done.rows["prompts"] == 0
    _erase(run, Subject(query_id="both"))
    left = _left(run.lake)
    assert not [row for rows in left.values() for row in rows if "both" in row or "shared" in row]
    assert len(left["queries"]) == 3
    assert erasure.erased(run.lake, run.flywheel.name) == (set(), {"shared", "both"})


def test_another_flywheels_rows_stay(run: Run) -> None:
    other = replace(run, turn=Turn("other", run.turn.start, run.turn.end))
    _turn(other, {"anna": ANNA.user_hash})
    _erase(run)
    assert run.lake.read(QUERIES, flywheel="other").num_rows == 1
    assert erasure.erased(run.lake, "other") == (set(), set())


def test_it_is_remembered_so_that_ingest_can_refuse_it(run: Run) -> None:
    assert erasure.erased(run.lake, run.flywheel.name) == (set(), set())
    _erase(run)
    assert erasure.erased(run.lake, run.flywheel.name) == ({"hash-anna"}, set())


def test_the_rows_beside_a_candidate_go_and_its_manifest_says_so_without_a_name(run: Run) -> None:
    touched = _candidate(run, "touched", (21, "anna"), (21, "both"), (22, "both"))
    clean = _candidate(run, "clean", (21, "bela"))
    before = read_json(clean / "manifest.json")
    done = _erase(run)
    assert done.training_rows == 2
    rows = pq.read_table(touched / "training_rows.parquet").to_pylist()
    assert [(row["turn"], row["query_id"]) for row in rows] == [("2026-11-21T00:00Z", "both")]
    told = read_json(touched / "manifest.json")
    assert told["replayable"] is False and told["rows"] == 3 and told["erased"]["rows"] == 2
    assert told["lineage"]["training_rows_sha256"] not in ("of all rows", "") and told["lineage"]["python"] == "3.11"
    assert "anna" not in json.dumps(told)
    assert read_json(clean / "manifest.json") == before == read_json(clean.parent / "candidate.json")


def test_of_what_a_killed_update_left_nothing_stays_that_has_seen_the_rows(run: Run) -> None:
    for run_id, ids in (("killed", ("anna", "bela")), ("other", ("bela",))):
        begun = _candidate(replace(run, run_id=run_id), ".update", *((21, one) for one in ids))
        (begun / "manifest.json").unlink()
        (begun.parent / "candidate.json").unlink()
        # With the whole candidate in it: killed in the moment before it was given its name.
        for name in ("raft.trainer/checkpoint-3", "candidate"):
            (begun / name).mkdir(parents=True)
            (begun / name / "model.safetensors").write_bytes(b"weights")
        shutil.copyfile(begun / "training_rows.parquet", begun / "candidate" / "training_rows.parquet")
    dry, done = _erase(run, dry_run=True), _erase(run)
    assert dry.training_rows == done.training_rows == 1 and done.releases == []
    left = [p for p in Path(run.lake.root).rglob("*.safetensors")]
    assert {p.relative_to(run.lake.artifacts(run.turn, "other")).parts[0] for p in left} == {".update"} and len(
        left
    ) == 2
    assert not list(run.lake.artifacts(run.turn, "killed").iterdir())


def test_an_update_that_ends_during_an_erasure_is_no_error_and_the_repetition_finds_its_candidate(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = _candidate(run, ".update", (21, "anna"), (21, "bela"))
    (begun / "manifest.json").unlink()
    (begun.parent / "candidate.json").unlink()
    remove = erasure.remove

    def meanwhile(*args: Any, **how: Any) -> Any:
        shutil.rmtree(begun)
        _candidate(run, "ended", (21, "anna"), (21, "bela"))
        return remove(*args, **how)

    with monkeypatch.context() as patched:
        patched.setattr(erasure, "remove", meanwhile)
        _erase(run)
    assert erasure.repeat(run.lake, run.flywheel.name, datetime.now(UTC), run.say) == 1
    left = pq.read_table(begun.with_name("ended") / "training_rows.parquet").column("query_id").to_pylist()
    assert left == ["bela"] and _erase(run).releases[0].model_version == "ended"


def test_every_release_that_the_rows_touched_is_named_and_what_was_trained_from_one(
    run: Run, new_turn: Callable[..., Any]
) -> None:
    judged = new_turn(21)
    judged.evaluate([1.0] * 3 + [0.0] * 97, [1.0] * 80 + [0.0] * 20)
    folder = judged.folder / "cand"
    pq.write_table(
        pa.Table.from_pylist([{"turn": judged.run.turn.key, "query_id": "anna"}]), folder / "training_rows.parquet"
    )
    write_json(folder / "manifest.json", {**read_json(judged.folder / "candidate.json"), "lineage": {}})
    gate.run(judged.run)
    register.run(judged.run)
    _candidate(replace(run, run_id="manual__2"), "child", (21, "bela"), base="cand")
    _candidate(replace(run, run_id="manual__3"), "stranger", (21, "bela"))
    said: list[str] = []
    for done in (_erase(run, say=said.append), _erase(run)):  # a second run names the same
        assert [(r.model_version, r.version, r.champion) for r in done.releases] == [
            ("cand", 1, True),
            ("child", None, False),
        ]
    assert any(f"{run.flywheel.name} version 1 (cand): it is the champion" in line for line in said)
    assert read_json(judged.folder / "candidate.json")["replayable"] is False


class Killed(BaseException):
    """Stands in for a kill."""


@pytest.fixture
def killed_after(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """Makes the process die before its n-th commit, or file beside a candidate."""
    left = [10_000]

    def before(real: Callable[..., Any]) -> Callable[..., Any]:
        def act(*args: Any, **kwargs: Any) -> Any:
            if left[0] == 0:
                raise Killed
            left[0] -= 1
            return real(*args, **kwargs)

        return act

    for place, name in ((Lake, "change"), (Lake, "append"), (trained_rows, "write_json")):
        monkeypatch.setattr(place, name, before(getattr(place, name)))

    def arm(count: int) -> None:
        left[0] = count

    yield arm
    arm(10_000)


@pytest.mark.parametrize("commits", [0, 1, 2, 4, 6, 7, 8, 9, 10, 13, 30])
def test_killed_at_any_moment_a_second_run_finishes_it(
    run: Run, killed_after: Callable[[int], None], commits: int
) -> None:
    candidate = _candidate(run, "cand", (21, "anna"), (21, "bela"))
    killed_after(commits)
    with pytest.raises(Killed):
        _erase(run)
    if commits:
        assert erasure.erased(run.lake, run.flywheel.name) == ({"hash-anna"}, set())
    killed_after(10_000)
    done = _erase(run)
    assert _left(run.lake) == AFTER
    assert "TEXT anna" not in (stored := _stored(run.lake)) and "hash-anna" not in stored
    assert [release.model_version for release in done.releases] == ["cand"]
    told = read_json(candidate / "manifest.json")
    assert told["replayable"] is False and told["erased"]["rows"] == 1


def test_what_a_run_at_work_writes_afterwards_is_erased_again(run: Run) -> None:
    _erase(run)
    name, say = run.flywheel.name, run.say
    run.lake.write(RESPONSES, [_response("anna"), _response("bela")], turn=run.turn, run_id="late", shard=0)
    candidate = _candidate(run, "late", (21, "anna"), (21, "bela"))
    now = datetime.now(UTC)
    assert erasure.repeat(run.lake, name, now, say) == 2
    assert run.lake.read(RESPONSES, run_id="late").column("query_id").to_pylist() == ["bela"]
    assert pq.read_table(candidate / "training_rows.parquet").num_rows == 1
    assert "RE anna" not in _stored(run.lake)
    assert _erase(run).releases[0].model_version == "late"
    assert erasure.repeat(run.lake, name, now, say) == 0


def test_after_fifteen_days_the_record_no_longer_says_which_queries_were_whose(run: Run) -> None:
    _erase(run)
    name = run.flywheel.name
    assert run.lake.count(ERASURES, flywheel=name, query_id=["anna", "both"]) == 2
    assert erasure.repeat(run.lake, name, datetime.now(UTC) + timedelta(days=16), run.say) == 0
    assert run.lake.count(ERASURES, flywheel=name, query_id=["anna", "both"]) == 0
    assert erasure.erased(run.lake, name) == ({"hash-anna"}, set())


def test_it_waits_for_ingest_and_gives_up_with_its_reason(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasure, "WAIT_SECONDS", 0.1)
    said: list[str] = []
    with (
        connect(run.database_url) as held,
        advisory_lock(held, front_door(run.flywheel.name)),
        pytest.raises(RegistryError, match="waited .* 'front door"),
    ):
        _erase(run, say=said.append)
    assert said == [f"a turn of {run.flywheel.name} is at its ingest or validate: waiting for it"]
    assert run.lake.version(ERASURES) is None and len(_left(run.lake)["queries"]) == 7


def _tao(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["erase", "shop", *arguments])


def test_tao_erase(shop: Any) -> None:
    lake, bela = Lake(shop.settings.lake), keyed_hash(b"k", "user", "bela")
    queries = [_query("r1", "q1", keyed_hash(b"k", "user", "anna")), _query("r2", "q2", bela)]
    turn = Turn("shop", NOW, NOW + timedelta(days=1))
    lake.write(QUERIES, queries, turn=turn, run_id="r")
    counted = _tao("--user", "anna", "--dry-run")
    assert counted.exit_code == 0 and "queries: 1 rows would be removed" in counted.stdout
    done = _tao("--user", "anna", "--json")
    told = json.loads(done.stdout)
    assert told["rows"]["queries"] == 1 and told["releases"] == [] and "anna" not in done.output
    assert "queries: 1 rows removed, 1 files deleted" in done.stderr
    assert _tao("--user-hash", bela).exit_code == 0
    assert lake.read(QUERIES).num_rows == 0
    for wrong in ((), ("--user", "anna", "--query", "q1")):
        assert _tao(*wrong).stderr.startswith("error: give exactly one of --user, --user-hash and --query")


def test_the_rows_of_an_erased_user_do_not_come_back_from_the_logs(shop: Any) -> None:
    shop.log()
    shop.log_lines(
        [shop.line(f"Zoe here, my lamp {n} never came to Rome.", f"z{n}", user="zoe") for n in range(2)], name="z.jsonl"
    )
    for stage in (ingest, validate, generate, score, update):
        stage.run(shop.run())
    before = _left(shop.run().lake)
    assert _tao("--user", "zoe").exit_code == 0
    after = _left(shop.run().lake)
    assert len(after["queries"]) == len(before["queries"]) - 2 and len(after["prompts"]) < len(before["prompts"])
    assert "Zoe here" not in _stored(shop.run().lake)
    for stage in (ingest, validate, generate, score, update):
        stage.run(shop.run())
    assert _left(shop.run().lake) == after and "Zoe here" not in _stored(shop.run().lake)


def test_a_subject_is_a_user_or_a_query() -> None:
    for wrong in ({}, {"user_hash": "a", "query_id": "b"}):
        with pytest.raises(ValueError, match="not both"):
            Subject(**wrong)
