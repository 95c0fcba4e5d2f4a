"""Known vulnerabilities stop the check; a database that does not answer is said, and stops nothing."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from audit import vulnerabilities
from audit.locks import Package
from audit.vulnerabilities import NOT_REACHED, check

KNOWN = {"jinja2": "PYSEC-2019-217", "left-pad": "PYSEC-2026-1"}


class Database(BaseHTTPRequestHandler):
    """Stands in for OSV's API."""

    known: ClassVar[dict[str, str]] = {}
    asked: ClassVar[list[tuple[str, str]]] = []

    def do_POST(self) -> None:
        query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name, version = query["package"]["name"], query["version"]
        self.asked.append((name, version))
        found = self.known.get(name)
        events = [{"introduced": "0"}, {"fixed": "9.9"}]
        affected = {"package": query["package"], "ranges": [{"type": "ECOSYSTEM", "events": events}]}
        told: dict[str, Any] = {"vulns": [{"id": found, "summary": "bad", "affected": [affected]}]} if found else {}
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Iterator[tuple[str, ...]]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(Database, "known", dict(KNOWN))
    monkeypatch.setattr(Database, "asked", [])
    monkeypatch.setattr(vulnerabilities, "JOBS", 2)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Database)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield ("-s", "osv", "--osv-url", f"http://127.0.0.1:{server.server_port}/v1/query")
    server.shutdown()
    server.server_close()


def package(name: str, version: str = "1.0") -> Package:
    return Package(name, version, ("a" * 64,), (), "cpu")


def test_a_known_vulnerability_fails(service: tuple[str, ...]) -> None:
    said: list[str] = []

    found = check([package("right-pad"), package("left-pad", "1.0+cpu")], {}, say=said.append, services=[service])

    (line,) = found
    assert line.startswith("left-pad 1.0 is vulnerable: PYSEC-2026-1, mended in 9.9")
    assert said == ["audit: 2 packages were looked up in the vulnerability database"]


def test_a_package_at_two_versions_is_asked_at_both(service: tuple[str, ...]) -> None:
    assert check([package("twice", "1.0"), package("twice", "2.0")], {}, say=lambda _: None, services=[service]) == []

    assert {("twice", "1.0"), ("twice", "2.0")} <= set(Database.asked)


def test_a_vulnerability_that_was_looked_into_passes(service: tuple[str, ...]) -> None:
    ignored = {"PYSEC-2026-1": "the function is not called"}

    assert check([package("left-pad")], ignored, say=lambda _: None, services=[service]) == []


def test_a_database_that_cannot_be_reached_is_said_in_one_line_and_passes(service: tuple[str, ...]) -> None:
    said: list[str] = []
    nobody = ("-s", "osv", "--osv-url", "http://127.0.0.1:9/v1/query")

    assert check([package("left-pad")], {}, say=said.append, services=[nobody]) == []

    assert said == [f"audit: {NOT_REACHED}"]


def test_a_mirror_without_vulnerabilities_is_no_database(service: tuple[str, ...]) -> None:
    Database.known.clear()
    said: list[str] = []

    assert check([package("left-pad")], {}, say=said.append, services=[service]) == []

    assert said == [f"audit: {NOT_REACHED}"]
    assert Database.asked == [("jinja2", "2.4.1")]


def test_the_second_service_is_asked_where_the_first_is_silent(service: tuple[str, ...]) -> None:
    nobody = ("-s", "osv", "--osv-url", "http://127.0.0.1:9/v1/query")

    assert check([package("left-pad")], {}, say=lambda _: None, services=[nobody, service])
