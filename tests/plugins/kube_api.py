"""A stand-in for a cluster: the part of Kubernetes' API that the provider speaks, over HTTP on loopback.

Each pod that it is asked to make is held against the API's published schema, and runs until the test ends it.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import kubernetes_validate

VERSION = "1.37.0"
"""Of the published schema."""


def check(manifest: dict[str, Any]) -> None:
    """Raise where a manifest is not what the API takes; an unknown field is an error too."""
    kubernetes_validate.validate(manifest, VERSION, strict=True)


@dataclass
class Cluster:
    """Pods by their names, and what was done to them."""

    pods: dict[str, dict[str, Any]] = field(default_factory=dict)
    made: list[dict[str, Any]] = field(default_factory=list)
    deleted: list[tuple[str, dict[str, list[str]]]] = field(default_factory=list)
    phases: list[str] = field(default_factory=list)
    """What the pod's phase is at each look at it, one after the other."""
    lines: str = ""
    """The log of its container."""
    port: int = 0

    @property
    def pod(self) -> dict[str, Any]:
        """The one that is there."""
        (found,) = self.pods.values()
        return found

    def end(self, code: int, message: str = "", reason: str = "Completed") -> None:
        """The container of the one pod ends."""
        now = datetime.now(UTC).isoformat()
        told = {"exitCode": code, "reason": reason, "message": message, "startedAt": now, "finishedAt": now}
        self.pod["status"]["phase"] = "Failed" if code else "Succeeded"
        self.pod["status"]["containerStatuses"][0]["state"] = {"terminated": told}

    def wait_for_image(self, reason: str, message: str) -> None:
        """The container of the one pod cannot start."""
        self.pod["status"]["phase"] = "Pending"
        self.pod["status"]["containerStatuses"][0]["state"] = {"waiting": {"reason": reason, "message": message}}

    def evict(self) -> None:
        """The node takes the one pod away before its container is heard of again."""
        self.pod["status"] |= {"phase": "Failed", "reason": "Evicted", "message": "The node was low on memory."}
        del self.pod["status"]["containerStatuses"]

    @property
    def kube_config(self) -> dict[str, Any]:
        """How a client finds it."""
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": f"http://127.0.0.1:{self.port}"}}],
            "users": [{"name": "test", "user": {"token": "of the test"}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        }

    def make(self, manifest: dict[str, Any]) -> dict[str, Any]:
        check(manifest)
        self.made.append(manifest)
        (container,) = manifest["spec"]["containers"]
        state = {"running": {"startedAt": datetime.now(UTC).isoformat()}}
        status = {
            "name": container["name"],
            "state": state,
            "ready": True,
            "restartCount": 0,
            "image": "",
            "imageID": "",
        }
        self.pods[manifest["metadata"]["name"]] = made = {
            **manifest,
            "status": {"phase": "Running", "containerStatuses": [status]},
        }
        return made

    def select(self, selector: str) -> list[dict[str, Any]]:
        return [pod for pod in self.pods.values() if all(_has(pod, term) for term in selector.split(",") if term)]


@contextmanager
def running() -> Iterator[Cluster]:
    """A cluster that answers until the block ends."""
    cluster = Cluster()

    class Handler(_Handler):
        of = cluster

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    cluster.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield cluster
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


def _has(pod: dict[str, Any], term: str) -> bool:
    labels = pod["metadata"].get("labels", {})
    if term.startswith("!"):
        return term[1:] not in labels
    if "!=" in term:
        key, value = term.split("!=")
        return bool(labels.get(key) != value)
    key, value = term.split("=")
    return bool(labels.get(key) == value)


class _Handler(BaseHTTPRequestHandler):
    of: Cluster

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _answer(self, body: dict[str, Any] | None) -> None:
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
        self._send(200 if body is not None else 404, json.dumps(body or status), "application/json")

    def _send(self, code: int, text: str, kind: str) -> None:
        raw = text.encode()
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def _body(self) -> dict[str, Any]:
        length = int(self.headers.get("Content-Length") or 0)
        read: dict[str, Any] = json.loads(self.rfile.read(length)) if length else {}
        return read

    @property
    def _name(self) -> str:
        return urlsplit(self.path).path.split("/")[6]

    def do_GET(self) -> None:
        parts, asked = urlsplit(self.path).path.split("/"), parse_qs(urlsplit(self.path).query)
        if parts[5] == "events":
            self._answer({"kind": "EventList", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": []})
        elif len(parts) == 6:
            found = self.of.select(asked.get("labelSelector", [""])[0])
            self._answer({"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": found})
        elif parts[-1] == "log":
            self._send(200, self.of.lines, "text/plain")
        else:
            pod = self.of.pods.get(self._name)
            if pod is not None and self.of.phases:
                pod["status"]["phase"] = self.of.phases.pop(0)
            self._answer(pod)

    def do_POST(self) -> None:
        self._answer(self.of.make(self._body()))

    def do_PATCH(self) -> None:
        pod = self.of.pods.get(self._name)
        labels = self._body()["metadata"]["labels"]
        if pod is not None:
            pod["metadata"]["labels"] |= labels
        self._answer(pod)

    def do_DELETE(self) -> None:
        self._body()
        self.of.deleted.append((self._name, parse_qs(urlsplit(self.path).query)))
        self._answer(self.of.pods.pop(self._name, None))
