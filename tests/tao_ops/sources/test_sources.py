"""Query logs and tables in an object store, through a real S3 API on this machine."""

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from deltalake import DeltaTable, write_deltalake

from tao_ops import sources
from tao_ops.config import SourceConfig
from tao_ops.errors import DataError, SourceUnreachable
from tao_ops.sources import files
from tao_ops.sources.records import Window
from tao_ops.stages import ingest
from tao_ops.tables import QUERIES

Shop = Any

DAY = datetime(2026, 11, 21, tzinfo=UTC)
WINDOW = Window(DAY, DAY + timedelta(days=1))
DENIED = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*"}}


SERVER = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print("http://{}:{}".format(*server.get_host_and_port()), flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of an S3 server; a page of its listings holds three keys."""
    # Of a process of its own: the Delta library keeps the interpreter to itself while it waits for an answer.
    environment = {**os.environ, "MOTO_S3_DEFAULT_MAX_KEYS": "3"}
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([sys.executable, "-c", SERVER], env=environment, text=True, **pipes) as process:
        assert process.stdout is not None and process.stdin is not None
        yield process.stdout.readline().strip()
        process.stdin.close()
        process.wait(30)


@cache
def _client(server: str) -> Any:
    keys = {"aws_access_key_id": "someone", "aws_secret_access_key": "secret"}
    return boto3.Session().client("s3", endpoint_url=server, region_name="us-east-1", **keys)


@pytest.fixture
def s3(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of the server, with an empty bucket ``logs``; the environment names the server."""
    values = {"ACCESS_KEY_ID": "someone", "SECRET_ACCESS_KEY": "secret", "DEFAULT_REGION": "us-east-1"}
    for name, value in {**values, "ENDPOINT_URL": server, "CONFIG_FILE": os.devnull}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    client = _client(server)
    client.create_bucket(Bucket="logs")
    yield client
    httpx.post(f"{server}/moto-api/reset-auth", content="inf")
    httpx.post(f"{server}/moto-api/reset")


def _enforce(server: str) -> None:
    """From here on the server looks at who asks."""
    httpx.post(f"{server}/moto-api/reset-auth", content="0")


def _log(*texts: str) -> bytes:
    at = {"received_at": "2026-11-21T12:00:00Z"}
    lines = [{**at, "request_id": text, "request": {"messages": [{"role": "user", "content": text}]}} for text in texts]
    return "".join(f"{json.dumps(line)}\n" for line in lines).encode()


def _read(path: str = "s3://logs/**", **source: Any) -> list[str]:
    """The texts that were asked."""
    config = SourceConfig(path=path, **source)
    batches = list(sources.read(config, path, WINDOW))
    assert not any(batch.broken for batch in batches)
    return [row["messages"][0]["content"] for batch in batches for row in batch.queries.to_pylist()]


def _refused(path: str, **source: Any) -> DataError:
    with pytest.raises(DataError) as caught:
        _read(path, **source)
    assert "\n" not in str(caught.value) and " — " in str(caught.value)
    return caught.value


def test_plain_gzip_and_zstd_are_read(s3: Any) -> None:
    packed = {"a.jsonl": bytes, "b.jsonl.gz": gzip.compress, "c.jsonl.zst": zstandard.compress}
    for name, pack in packed.items():
        s3.put_object(Bucket="logs", Key=f"web/{name}", Body=pack(_log(name)))
    assert _read("s3://logs/web/*.jsonl*") == sorted(packed)
    assert _read("s3a://logs/web/*.gz") == ["b.jsonl.gz"]
    assert _read("s3://logs/web/a.jsonl") == ["a.jsonl"]


def test_patterns_mean_what_they_mean_in_a_folder(s3: Any) -> None:
    for key in ("a.jsonl", "2026/11/21/a.jsonl", "2026/11/21/deep/a.jsonl", "2026/11/22/a.jsonl", "2026/11/23/a.jsonl"):
        s3.put_object(Bucket="logs", Key=key, Body=_log(key))
    assert _read("s3://logs/*.jsonl") == ["a.jsonl"]
    assert _read("s3://logs/{%Y/%m/%d}/*.jsonl") == ["2026/11/21/a.jsonl", "2026/11/22/a.jsonl"]
    assert _read("s3://logs/2026/*/2?/a.jsonl") == [f"2026/11/{day}/a.jsonl" for day in (21, 22, 23)]
    assert _read("s3://logs/2026/**/deep/*") == ["2026/11/21/deep/a.jsonl"]
    assert len(_read("s3://logs/**/*.jsonl")) == 5


def test_a_position_names_the_bucket(s3: Any) -> None:
    s3.put_object(Bucket="logs", Key="a.jsonl", Body=_log("one") + b"{\n")
    (batch,) = sources.read(SourceConfig(path="x"), "s3://logs/*.jsonl", WINDOW)
    assert batch.file == "s3://logs/a.jsonl"
    assert batch.queries.column("position").to_pylist() == ["s3://logs/a.jsonl:1"]
    assert [line.position for line in batch.broken] == ["s3://logs/a.jsonl:2"]


def test_more_objects_than_a_listings_page_holds(s3: Any) -> None:
    names = [f"{number:02}" for number in range(20)]
    for name in names:
        s3.put_object(Bucket="logs", Key=f"{name}.jsonl", Body=_log(name))
    assert s3.list_objects_v2(Bucket="logs")["IsTruncated"]
    assert _read("s3://logs/*.jsonl") == names and _read("s3://logs/1*.jsonl") == names[10:]


def test_an_object_that_was_written_last_before_the_window_is_left_out_and_said(s3: Any) -> None:
    s3.put_object(Bucket="logs", Key="a.jsonl", Body=_log("one"))
    ahead = Window(datetime.now(UTC) + timedelta(days=2), datetime.now(UTC) + timedelta(days=3))
    said: list[str] = []
    assert list(sources.read(SourceConfig(path="x"), "s3://logs/*.jsonl", ahead, say=said.append)) == []
    assert len(said) == 1 and said[0].startswith("s3://logs/*.jsonl: 1 of 1 files were written last before")


def test_what_arrives_later_is_seen_by_the_next_run_of_the_same_process(s3: Any) -> None:
    s3.put_object(Bucket="logs", Key="web/a.jsonl", Body=_log("one"))
    assert _read("s3://logs/web/*.jsonl") == ["one"]
    s3.put_object(Bucket="logs", Key="web/b.jsonl", Body=_log("two"))
    s3.put_object(Bucket="logs", Key="web/a.jsonl", Body=_log("one", "more"))
    assert _read("s3://logs/web/*.jsonl") == ["one", "more", "two"] == _read("s3://logs/**/*.jsonl")
    s3.delete_object(Bucket="logs", Key="web/a.jsonl")
    assert _read("s3://logs/web/*.jsonl") == ["two"]


@pytest.mark.parametrize("path", ["s3://nowhere/*.jsonl", "s3://nowhere/a/**/*.jsonl", "s3://nowhere/a.jsonl"])
def test_a_missing_bucket_is_one_line(s3: Any, path: str) -> None:
    error = _refused(path)
    assert str(error) == f"there is no such bucket or folder [{path}] — mend the source's pattern"
    assert not error.retryable


@pytest.mark.parametrize("path", ["s3://logs/*.jsonl", "s3://logs/a/b/*.jsonl", "s3://logs/a.jsonl"])
def test_a_bucket_without_logs_is_one_line(s3: Any, path: str) -> None:
    assert str(_refused(path)).startswith(f"no query log matches [{path}]")


def test_a_name_that_is_no_buckets_is_one_line(s3: Any) -> None:
    error = _refused("s3://No_Bucket!/a/*.jsonl")
    assert "Invalid bucket name" in str(error) and "mend the source's pattern" in str(error) and not error.retryable


def _denied(path: str, **source: Any) -> None:
    error = _refused(path, **source)
    assert str(error).startswith("access is denied") and f"[{path}]" in str(error) and not error.retryable
    assert "the right to list and read" in str(error)


@pytest.mark.parametrize("path", ["s3://logs/*.jsonl", "s3://logs/**/*.jsonl", "s3://logs/a.jsonl"])
def test_wrong_credentials_are_one_line(s3: Any, server: str, path: str) -> None:
    _enforce(server)
    _denied(path)
    _denied("s3://logs/table", format="table", columns={"received_at": "at", "text": "said"})


def test_no_credentials_are_one_line(s3: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.delenv(f"AWS_{name}")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    _denied("s3://logs/*.jsonl")


def test_what_may_be_listed_but_not_read_is_named(s3: Any, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    s3.put_object(Bucket="logs", Key="a.jsonl", Body=_log("one"))
    iam = boto3.Session().client("iam")
    iam.create_user(UserName="reader")
    iam.put_user_policy(UserName="reader", PolicyName="list", PolicyDocument=json.dumps(DENIED))
    key = iam.create_access_key(UserName="reader")["AccessKey"]
    with monkeypatch.context() as reader:
        reader.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
        reader.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
        _enforce(server)
        error = str(_refused("s3://logs/*.jsonl"))
    assert error.startswith("access is denied") and "[s3://logs/a.jsonl]" in error


def test_an_object_that_vanishes_between_listing_and_reading_is_worth_another_try(s3: Any) -> None:
    s3.put_object(Bucket="logs", Key="a.jsonl", Body=_log("one"))
    (file,), _ = files.find("s3://logs/*.jsonl", WINDOW, "UTC")
    s3.delete_object(Bucket="logs", Key="a.jsonl")
    with pytest.raises(SourceUnreachable, match=r"is gone since it was listed \[s3://logs/a.jsonl\]"):
        list(files.chunks(file))


def test_an_object_that_changes_after_the_listing_is_read_as_it_is_now(s3: Any) -> None:
    s3.put_object(Bucket="logs", Key="a.jsonl", Body=_log("one"))
    (file,), _ = files.find("s3://logs/*.jsonl", WINDOW, "UTC")
    s3.put_object(Bucket="logs", Key="a.jsonl", Body=_log("one", "two"))
    assert b"".join(files.chunks(file)) == _log("one", "two")


def test_an_object_that_changes_while_it_is_read_is_never_read_half_old_half_new(s3: Any) -> None:
    s3.put_object(Bucket="logs", Key="a.jsonl", Body=_log("one"))
    (file,), _ = files.find("s3://logs/*.jsonl", WINDOW, "UTC")
    with (
        pytest.raises(SourceUnreachable, match=r"no longer exists.*s3://logs/a.jsonl.*run it again"),
        files.opened(file) as raw,
    ):
        s3.put_object(Bucket="logs", Key="a.jsonl", Body=_log("two"))
        raw.read()


COLUMNS = {"received_at": "at", "text": "said", "request_id": "id"}


def _table(*texts: str) -> pa.Table:
    at = pa.array([DAY + timedelta(hours=12)] * len(texts), pa.timestamp("us", tz="UTC"))
    return pa.table({"at": at, "said": list(texts), "id": list(texts)})


def test_parquet_files_are_read(s3: Any, tmp_path: Path) -> None:
    for name in ("a", "b"):
        pq.write_table(_table(f"{name}1", f"{name}2"), tmp_path / "t.parquet")
        s3.put_object(Bucket="logs", Key=f"table/day=21/{name}.parquet", Body=(tmp_path / "t.parquet").read_bytes())
    for path in ("s3://logs/table", "s3://logs/table/", "s3://logs/table/*/*.parquet"):
        assert _read(path, format="table", columns=COLUMNS) == ["a1", "a2", "b1", "b2"]


def test_a_delta_table_is_read_at_its_newest_version_without_what_was_deleted(s3: Any) -> None:
    path, options = "s3://logs/delta", {"allow_http": "true", "aws_conditional_put": "etag"}
    write_deltalake(path, _table("one", "two"), storage_options=options)
    assert _read(path, format="table", columns=COLUMNS) == ["one", "two"]
    write_deltalake(path, _table("three"), mode="append", storage_options=options)
    DeltaTable(path, storage_options=options).delete("said = 'one'")
    assert sorted(_read(path, format="table", columns=COLUMNS)) == ["three", "two"]


def test_no_table_at_all_is_one_line(s3: Any) -> None:
    assert "no query log matches" in str(_refused("s3://logs/table", format="table", columns=COLUMNS))
    assert "no such bucket" in str(_refused("s3://nowhere/table", format="table", columns=COLUMNS))


def test_a_connection_signs_in_where_the_process_itself_may_not_read(
    s3: Any, server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pq.write_table(_table("two"), tmp_path / "t.parquet")
    s3.put_object(Bucket="logs", Key="web/a.jsonl", Body=_log("one"))
    s3.put_object(Bucket="logs", Key="table/a.parquet", Body=(tmp_path / "t.parquet").read_bytes())
    options = {"allow_http": "true", "aws_conditional_put": "etag"}
    write_deltalake("s3://logs/delta", _table("three"), storage_options=options)
    iam = boto3.Session().client("iam")
    iam.create_user(UserName="reader")
    may_read = {
        **DENIED,
        "Statement": {"Effect": "Allow", "Action": ["s3:ListBucket", "s3:GetObject"], "Resource": "*"},
    }
    iam.put_user_policy(UserName="reader", PolicyName="read", PolicyDocument=json.dumps(may_read))
    key = iam.create_access_key(UserName="reader")["AccessKey"]
    extra = {"endpoint_url": server, "region_name": "us-east-1"}
    told = {"login": key["AccessKeyId"], "password": key["SecretAccessKey"], "extra": extra}
    monkeypatch.setenv("TAO_CONNECTION_READER", json.dumps(told))
    _enforce(server)
    _denied("s3://logs/web/*.jsonl")
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    assert _read("s3://logs/web/*.jsonl", connection="reader") == ["one"]
    table: dict[str, Any] = {"format": "table", "columns": COLUMNS, "connection": "reader"}
    assert (_read("s3://logs/table", **table), _read("s3://logs/delta", **table)) == (["two"], ["three"])


def test_a_turn_takes_its_queries_from_a_bucket(s3: Any, shop: Shop) -> None:
    shop.change("sources", [{"path": "s3://logs/web/{%Y-%m-%d}/*.jsonl.gz", "namespace": "shop"}])
    for day in (20, 21, 22, 23):
        lines = [shop.line(f"Anna here, parcel {n} of day {day}", f"r{day}-{n}", day=day) for n in range(3)]
        body = gzip.compress("\n".join(lines).encode())
        s3.put_object(Bucket="logs", Key=f"web/2026-11-{day}/a.jsonl.gz", Body=body)
    report = ingest.run(shop.run())
    rows = shop.run().lake.read(QUERIES).to_pylist()
    assert report.rows_out == 3 and sorted(row["request_id"] for row in rows) == ["r21-0", "r21-1", "r21-2"]
    more = gzip.compress(shop.line("Anna here, one more parcel", "more").encode())
    s3.put_object(Bucket="logs", Key="web/2026-11-21/b.jsonl.gz", Body=more)
    assert ingest.run(shop.run(run_id="again")).rows_out == 4


def test_a_turn_of_a_bucket_that_is_gone_changes_nothing(s3: Any, shop: Shop) -> None:
    shop.change("sources", [{"path": "s3://nowhere/*.jsonl", "namespace": "shop"}])
    before = shop.versions()
    with pytest.raises(DataError, match=r"there is no such bucket or folder \[s3://nowhere/\*.jsonl\]"):
        ingest.run(shop.run())
    assert shop.versions() == before
