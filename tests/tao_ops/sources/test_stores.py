"""A store that hangs, breaks off or is gone is given up after a limit, and worth another try; Google's is one too."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from tao_ops import sources
from tao_ops.config import SourceConfig
from tao_ops.errors import DataError, SourceUnreachable
from tao_ops.sources import files, stores
from tao_ops.sources.records import Window

DAY = datetime(2026, 11, 21, tzinfo=UTC)
WINDOW = Window(DAY, DAY + timedelta(days=1))
SIZE = 1000
TABLE: dict[str, Any] = {"format": "table", "columns": {"received_at": "at", "text": "said"}}
LISTING = f"""<?xml version="1.0"?><ListBucketResult><Name>logs</Name><IsTruncated>false</IsTruncated>
<KeyCount>1</KeyCount><Contents><Key>a.jsonl</Key><LastModified>2026-11-21T12:00:00.000Z</LastModified>
<ETag>"e"</ETag><Size>{SIZE}</Size></Contents></ListBucketResult>""".encode()


class _Server(ThreadingHTTPServer):
    """A server with bad days: ``hangs`` says at what it does, ``LIST`` or ``GET``; it never sends an object whole."""

    daemon_threads = True
    hangs: str | None = None
    status = 200

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.asked, self.over = list[str](), threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Nothing: the tests' output is theirs."""

    def reply(self, body: bytes, status: int = 200, length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


class _S3(_Handler):
    def do_HEAD(self) -> None:
        self.reply(b"", length=SIZE, ETag='"e"', Last_Modified="Sat, 21 Nov 2026 12:00:00 GMT")

    def do_GET(self) -> None:
        method = "LIST" if "list-type" in self.path else "GET"
        self.server.asked.append(method)
        if self.server.status != 200:
            self.reply(b"<Error><Code>InternalError</Code><Message>We are sorry</Message></Error>", self.server.status)
            return
        if method == "LIST" and self.server.hangs != "LIST":
            self.reply(LISTING, Content_Type="application/xml")
            return
        if method == "GET":
            self.reply(b"{" * 100, 206, SIZE, ETag='"e"', Content_Range=f"bytes 0-{SIZE - 1}/{SIZE}")
        if self.server.hangs == method:
            self.server.over.wait(30)
        self.close_connection = True


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Server]:
    """A server that speaks as much of S3 as a reader asks for; patience is short."""
    server = _Server(_S3)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    values = {"ACCESS_KEY_ID": "k", "SECRET_ACCESS_KEY": "s", "DEFAULT_REGION": "us-east-1"}
    for name, value in {**values, "ENDPOINT_URL": server.url}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    short = {"connect_timeout": 1, "read_timeout": 0.3, "retries": {"mode": "standard", "total_max_attempts": 2}}
    monkeypatch.setitem(stores.WAITS, "s3", {"config_kwargs": short})
    yield server
    server.over.set()
    server.shutdown()
    server.server_close()


def _unreachable(path: str = "s3://logs/*.jsonl", **source: Any) -> str:
    """The one line of a source that may be there the next time."""
    with pytest.raises(SourceUnreachable) as caught:
        list(sources.read(SourceConfig(path=path, **source), path, WINDOW))
    said = str(caught.value)
    assert (
        caught.value.retryable and "\n" not in said and said.startswith("cannot be read: ") and "run it again" in said
    )
    return said


def test_a_listing_that_hangs_is_given_up(s3: _Server) -> None:
    s3.hangs = "LIST"
    assert "Read timeout" in (said := _unreachable()) and "[s3://logs/*.jsonl]" in said
    assert len(s3.asked) == 2 * stores.S3_ROUNDS


@pytest.mark.parametrize("source", [{}, TABLE])
@pytest.mark.parametrize("hangs", ["GET", None])
def test_an_object_that_hangs_or_breaks_off_is_no_damaged_file(
    s3: _Server, hangs: str | None, source: dict[str, Any]
) -> None:
    s3.hangs = hangs
    assert "[s3://logs/a.jsonl]" in _unreachable(**source)
    assert s3.asked.count("GET") <= 2 * stores.S3_ROUNDS**2


@pytest.mark.parametrize("source", [{}, TABLE])
def test_a_server_with_errors_of_its_own_is_not_an_empty_one(s3: _Server, source: dict[str, Any]) -> None:
    s3.status = 500
    assert "We are sorry" in _unreachable("s3://logs/table" if source else "s3://logs/*.jsonl", **source)


def test_a_server_that_is_gone_is_worth_another_try(s3: _Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert "Could not connect" in _unreachable()
    assert "Could not connect" in _unreachable("s3://logs/table", **TABLE)


def test_the_limits_of_every_wait_are_set() -> None:
    for pattern in ("s3://logs/*", "s3a://logs/*"):
        filesystem = stores.filesystem_of(pattern)
        assert filesystem.config_kwargs["read_timeout"] <= 60 and filesystem.config_kwargs["connect_timeout"] <= 60
        attempts = filesystem.config_kwargs["retries"]["total_max_attempts"]
        assert filesystem.retries**2 * attempts * filesystem.config_kwargs["read_timeout"] <= 300


class _GCS(_Handler):
    def do_GET(self) -> None:
        split = urlsplit(self.path)
        if self.server.status != 200:
            said = {"error": {"code": self.server.status, "message": "reader@shop does not have access"}}
            self.reply(json.dumps(said).encode(), self.server.status, Content_Type="application/json")
            return
        item = {"bucket": "logs", "size": "20", "updated": "2026-11-21T12:00:00Z", "etag": "e", "generation": "1"}
        name = unquote(split.path.rsplit("/o/", 1)[-1])
        if "alt" in parse_qs(split.query):
            self.reply(b'{"request_id": "r1"}')
        elif split.path.endswith("/o"):
            prefix = parse_qs(split.query).get("prefix", [""])[0]
            items = [{**item, "name": name} for name in ("web/a.jsonl", "web/b.txt") if name.startswith(prefix)]
            self.reply(json.dumps({"items": items}).encode(), Content_Type="application/json")
        else:
            self.reply(json.dumps({**item, "name": name}).encode(), Content_Type="application/json")


@pytest.fixture
def gcs(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Server]:
    """A server that speaks as much of Google's storage API as a reader asks for."""
    server = _Server(_GCS)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("scheme", ["gs", "gcs"])
def test_googles_store_is_read_by_its_library(gcs: _Server, scheme: str) -> None:
    found, _ = files.find(f"{scheme}://logs/web/*.jsonl", WINDOW, "UTC")
    assert [file.name for file in found] == ["gs://logs/web/a.jsonl"]
    assert type(found[0].filesystem).__module__.startswith("gcsfs")
    assert found[0].modified == DAY + timedelta(hours=12) and found[0].filesystem.requests_timeout == 60
    assert b"".join(files.chunks(found[0])) == b'{"request_id": "r1"}'


@pytest.mark.parametrize(
    ("status", "said"),
    [(403, "access is denied: Forbidden"), (401, "access is denied: reader@shop"), (404, "no such bucket or folder")],
)
def test_what_googles_store_refuses_is_one_line(gcs: _Server, status: int, said: str) -> None:
    gcs.status = status
    with pytest.raises(DataError, match=said) as caught:
        files.find("gs://logs/web/*.jsonl", WINDOW, "UTC")
    assert "\n" not in str(caught.value) and "[gs://logs/web/*.jsonl]" in str(caught.value)
    assert not caught.value.retryable
