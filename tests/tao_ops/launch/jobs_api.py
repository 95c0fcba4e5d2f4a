"""Ray's Jobs API over HTTP on loopback, as far as it is used here; what its jobs do, a test says."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

PREFIX = "/api/jobs/"


class JobsApi:
    """The jobs of a cluster.

    Attributes:
        jobs: their details by submission id.
        submitted: the bodies that submitted them.
        log_status: what a look at a log is answered with.
        failing: statuses of the next answers; None drops the connection after the work was done.
        obedient: jobs end as soon as they are to stop.
        looks: what happens after each look at a job, the next first.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.jobs: dict[str, dict[str, Any]] = {}
        self.logs: dict[str, str] = {}
        self.submitted: list[dict[str, Any]] = []
        self.asked: list[tuple[str, str, str | None]] = []
        self.failing: list[int | None] = []
        self.log_status = 200
        self.obedient = True
        self.looks: list[Callable[[], Any]] = []

    def stops(self) -> list[str]:
        """The jobs that were to stop, in order."""
        return [path.split("/")[3] for method, path, _ in self.asked if method == "POST" and path.endswith("/stop")]

    def end(self, job: str, status: str, **told: Any) -> None:
        """A job has come to its end."""
        self.jobs[job] |= {"status": status, **told}

    def answer(self, method: str, path: str, body: dict[str, Any] | None) -> tuple[int, Any]:
        """Status and content: an object, or a text as Ray's failures have."""
        if not path.startswith(PREFIX):
            return 404, "Not Found"
        name, _, what = path.removeprefix(PREFIX).partition("/")
        if method == "POST" and not name:
            return self._submit(body or {})
        if name not in self.jobs:
            return 404, f"Job {name} does not exist"
        if what == "logs":
            return self.log_status, {"logs": self.logs.get(name, "")}
        if what == "stop":
            if self.obedient and self.jobs[name]["status"] in ("PENDING", "RUNNING"):
                self.end(name, "STOPPED")
            return 200, {"stopped": True}
        found = dict(self.jobs[name])
        if self.looks:
            self.looks.pop(0)()
        return 200, found

    def _submit(self, body: dict[str, Any]) -> tuple[int, Any]:
        name = body["submission_id"]
        if name in self.jobs:
            return (
                500,
                f"RuntimeError: Request failed with status code 400: Job with submission_id {name} already exists.",
            )
        self.submitted.append(body)
        told = {"status": "RUNNING", "message": "Job is currently running.", "error_type": None}
        self.jobs[name] = {**told, "driver_exit_code": None, "driver_node_id": "n1", "metadata": body["metadata"]}
        return 200, {"job_id": name, "submission_id": name}


@contextmanager
def jobs_api() -> Iterator[JobsApi]:
    """The API on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._do("GET", None)

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            self._do("POST", json.loads(self.rfile.read(length)) if length else None)

        def _do(self, method: str, body: dict[str, Any] | None) -> None:
            path = unquote(self.path)
            api.asked.append((method, path, self.headers.get("Authorization")))
            failing = api.failing.pop(0) if api.failing and not path.endswith("/logs") else 200
            status, told = api.answer(method, path, body) if failing in (200, None) else (failing or 0, "not now")
            if failing is None:
                self.close_connection = True
                return
            content = (told if isinstance(told, str) else json.dumps(told)).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    api = JobsApi(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
