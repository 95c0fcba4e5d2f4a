"""A lake of an earlier release is brought up to date, whatever moment it is killed at, and then works as a new one."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from deltalake.table import TableAlterer
from typer.testing import CliRunner

from tao_ops.cli import app
from tao_ops.clusters import Index
from tao_ops.errors import LakeError
from tao_ops.lake import Lake, open_lake
from tao_ops.migrate import migrate
from tao_ops.splits import Wall
from tao_ops.tables import CLUSTERS, EVALUATIONS, PROMPTS, QUARANTINE, QUERIES, RESPONSES, Table
from tao_ops.turn import Turn

START = datetime(2026, 11, 21, tzinfo=UTC)
TURN = Turn("tickets", START, START + timedelta(days=1))
OLD = {"flywheel": "tickets", "turn": TURN.key, "run_id": "r"}
HELLO = [{"role": "user", "content": "Where is my order?"}]
REFUSED = {"source": "s", "position": "a.jsonl:1", "reason": "not_json", "excerpt": "{"}
PROMPT = {"query_id": "q", "task": "t", "messages": HELLO, "count": 1, "cluster": "q", "split": "train"}


def hash_key() -> bytes:
    return b"k"


def _write_old(
    lake: Lake, table: Table, row: dict[str, Any], *, without: tuple[str, ...] = (), version: int = 1
) -> None:
    """As an earlier release wrote it: the first, or that of ``version``."""
    schema = pa.schema([column for column in table.schema if column.name not in without])
    described = f"schema_version={version}"
    DeltaTable.create(lake.uri(table), schema, partition_by=list(table.partition), description=described, mode="ignore")
    write_deltalake(lake.uri(table), pa.Table.from_pylist([row], schema=schema), mode="append")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake of release 0.1.0."""
    lake = open_lake(str(tmp_path / "lake"))
    _write_old(lake, PROMPTS, {**OLD, **PROMPT})
    _write_old(lake, QUARANTINE, {**OLD, **REFUSED, "stage": "ingest"}, without=("user_hash",))
    return lake


def _works(lake: Lake) -> None:
    """Old rows are read, new ones written, and a turn replaced."""
    (old,) = lake.read(QUARANTINE).to_pylist()
    assert old == {**OLD, **REFUSED, "stage": "ingest", "user_hash": None}
    assert lake.read(PROMPTS).to_pylist() == [{**OLD, **PROMPT}]
    later = Turn("tickets", START + timedelta(days=1), START + timedelta(days=2))
    new = {**REFUSED, "user_hash": "hash"}
    lake.write(QUARANTINE, [new], turn=later, run_id="r", stage="ingest")
    assert lake.read(QUARANTINE, user_hash="hash").num_rows == 1
    lake.write(QUARANTINE, [new], turn=TURN, run_id="r2", stage="ingest")
    assert lake.read(QUARANTINE).column("user_hash").to_pylist() == ["hash", "hash"]


def test_an_older_lake_says_what_to_run(lake: Lake) -> None:
    with pytest.raises(LakeError, match="schema_version=1, older than schema_version=6 .*run: tao lake migrate"):
        lake.read(PROMPTS)
    with pytest.raises(LakeError, match="run: tao lake migrate"):
        lake.write(QUARANTINE, [], turn=TURN, run_id="r", stage="ingest")


def test_it_is_migrated_then_read_and_written(lake: Lake) -> None:
    said: list[str] = []
    assert migrate(lake, hash_key, said.append) == ["quarantine", "prompts", "clusters"]
    assert said == [
        "quarantine: schema version 1 → 6, new: user_hash",
        "prompts: schema version 1 → 6",
        "clusters: 1 prompts of earlier turns entered, each with the split that it has",
    ]
    _works(lake)


def test_responses_of_the_release_before_are_read_and_replaced(tmp_path: Path) -> None:
    lake, new = open_lake(str(tmp_path / "lake")), ("round", "temperature", "tokens")
    row = {**OLD, "shard": 0, "response_id": "r", "query_id": "q", "strategy": "plain", "sample": 0, "text": "hi"}
    _write_old(lake, RESPONSES, row, without=new, version=2)
    said: list[str] = []
    assert migrate(lake, hash_key, said.append) == ["responses"]
    assert said == ["responses: schema version 2 → 6, new: round, temperature, tokens"]
    (old,) = lake.read(RESPONSES).to_pylist()
    assert (old["text"], *(old[name] for name in new)) == ("hi", None, None, None)
    lake.write(RESPONSES, [{**row, "round": 1, "temperature": 0.5, "tokens": 7}], turn=TURN, run_id="r2", shard=0)
    assert lake.read(RESPONSES).column("tokens").to_pylist() == [7]


def test_scores_of_the_release_before_are_read_and_replaced(tmp_path: Path) -> None:
    lake, new = open_lake(str(tmp_path / "lake")), ("tokens", "flags", "reward")
    row = {**OLD, "model_version": "m", "arm": "champion", "benchmark": "b", "item_id": "i0", "score": 1.0}
    _write_old(lake, EVALUATIONS, row, without=new, version=4)
    said: list[str] = []
    assert migrate(lake, hash_key, said.append) == ["evaluations"]
    assert said == ["evaluations: schema version 4 → 6, new: tokens, flags, reward"]
    (old,) = lake.read(EVALUATIONS).to_pylist()
    assert (old["score"], *(old[name] for name in new)) == (1.0, None, None, None)
    told = {"tokens": 7, "flags": ["empty"], "reward": 0.5}
    lake.write(EVALUATIONS, [{**row, **told}], turn=TURN, run_id="r2")
    (now,) = lake.read(EVALUATIONS).to_pylist()
    assert {name: now[name] for name in new} == told


def test_queries_of_the_release_before_are_read_and_replaced(tmp_path: Path) -> None:
    lake = open_lake(str(tmp_path / "lake"))
    row = {**OLD, "query_id": "q", "request_id": "r", "source": "s", "messages": HELLO, "response": "hi"}
    _write_old(lake, QUERIES, {**row, "feedback": "down"}, without=("corrected",), version=5)
    with pytest.raises(LakeError, match="schema_version=5, older than schema_version=6 .*run: tao lake migrate"):
        lake.read(QUERIES)
    said: list[str] = []
    assert migrate(lake, hash_key, said.append) == ["queries"]
    assert said == ["queries: schema version 5 → 6, new: corrected"]
    (old,) = lake.read(QUERIES).to_pylist()
    assert (old["response"], old["feedback"], old["corrected"]) == ("hi", "down", None)
    lake.write(QUERIES, [{**row, "corrected": "hello"}], turn=TURN, run_id="r2")
    assert lake.read(QUERIES).column("corrected").to_pylist() == ["hello"]


def test_a_second_run_changes_nothing(lake: Lake) -> None:
    migrate(lake, hash_key, print)
    versions = [lake.version(table) for table in (PROMPTS, QUARANTINE, CLUSTERS)]
    assert migrate(lake, hash_key, print) == []
    assert [lake.version(table) for table in (PROMPTS, QUARANTINE, CLUSTERS)] == versions


@pytest.mark.parametrize("step", ["add_columns", "set_table_properties", "set_table_description"])
def test_killed_halfway_it_goes_on(lake: Lake, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(TableAlterer, step, killed)
        migrate(lake, hash_key, print)
    with pytest.raises(LakeError, match="tao lake migrate"):
        lake.read(PROMPTS)
    migrate(lake, hash_key, print)
    _works(lake)


def _prompt(query_id: str, text: str, split: str, turn: str = TURN.key) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}]
    return {**OLD, **PROMPT, "query_id": query_id, "messages": messages, "split": split, "turn": turn}


def test_old_prompts_keep_their_split_for_ever(tmp_path: Path) -> None:
    lake = open_lake(str(tmp_path / "lake"))
    texts = [f"Where is order number {n} of mine?" for n in range(8)]
    for n, text in enumerate(texts):
        _write_old(lake, PROMPTS, _prompt(f"q{n}", text, "holdout" if n % 2 else "train"))
    again = "2026-11-22T00:00Z"
    _write_old(lake, PROMPTS, _prompt("q0-later", texts[0].upper(), "train", again))
    assert migrate(lake, hash_key, print) == ["prompts", "clusters"]
    rows = lake.read(CLUSTERS).to_pylist()
    assert {row["query_id"]: row["split"] for row in rows} == {f"q{n}": ("train", "holdout")[n % 2] for n in range(8)}
    later = Turn("tickets", START + timedelta(days=2), START + timedelta(days=3))
    queries = [(f"new{n}", [{"role": "user", "content": text}]) for n, text in enumerate(texts)]
    placed = Index.load(lake, later).assign(
        "t", queries, wall=Wall([], list, 1), holdout=0.5, threshold=1, key=hash_key()
    )
    assert [one.split for one in placed] == ["train", "holdout"] * 4
    assert migrate(lake, hash_key, print) == []


def test_the_log_of_a_migrated_table_no_longer_keeps_values_of_columns(lake: Lake) -> None:
    migrate(lake, hash_key, print)
    lake.write(QUARANTINE, [{**REFUSED, "excerpt": "SECRET"}], turn=TURN, run_id="r", stage="validate")
    log = Path(lake.uri(QUARANTINE)) / "_delta_log"
    assert not [entry for entry in log.iterdir() if "SECRET" in entry.read_text(encoding="utf-8")]


@pytest.mark.parametrize(
    ("description", "error"),
    [
        ("schema_version=7", "schema_version=7, newer than this release's schema_version=6 .* the release that made"),
        (None, "no schema version: no flywheel made it"),
    ],
)
def test_a_newer_or_foreign_table_is_refused_and_the_lake_stays_as_it_was(
    lake: Lake, description: str | None, error: str
) -> None:
    write_deltalake(lake.uri(QUERIES), QUERIES.schema.empty_table(), description=description)
    with pytest.raises(LakeError, match=error):
        migrate(lake, hash_key, print)
    with pytest.raises(LakeError, match=error):
        lake.read(QUERIES)
    for table in (PROMPTS, QUARANTINE):
        assert DeltaTable(lake.uri(table)).metadata().description == "schema_version=1"


def test_tao_lake_migrate(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAO_LAKE", lake.root)
    monkeypatch.setenv("TAO_HASH_KEY", "k")
    first = CliRunner().invoke(app, ["lake", "migrate"])
    assert first.exit_code == 0 and "prompts: schema version 1 → 6" in first.stdout
    assert CliRunner().invoke(app, ["lake", "migrate"]).stdout == "every table is up to date\n"
