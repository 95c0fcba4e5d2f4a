"""An OpenAI-compatible server on a free port of this machine that does whatever a test wants done wrong."""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Action = Callable[["Handler", dict[str, Any]], None]
"""Answers one request for a chat, given its body."""


class Handler(BaseHTTPRequestHandler):
    """One connection; ``server`` holds what is to be done."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each answer takes 40 ms
    server: "_Http"

    def do_GET(self) -> None:
        self.server.faulty.seen.append((self.path, dict(self.headers), {}))
        self.server.faulty.get(self)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.server.faulty.post(self, body)

    def json(self, payload: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        self.send(json.dumps(payload).encode(), status, {"Content-Type": "application/json", **(headers or {})})

    def send(self, data: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None: ...


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    faulty: "FaultyServer"


class FaultyServer:
    """Answers well, but for what ``plan`` says about the next requests, or ``always`` about all of them.

    Attributes:
        models: what ``/models`` lists; None for a server without it.
        vllm: the version of vLLM that it passes itself off as.
        seen: path, headers and body of each request.
        most_at_once: requests for a chat that were under way at the same time.
    """

    def __init__(self) -> None:
        self.plan: list[Action] = []
        self.always: Action = good
        self.models: list[dict[str, Any]] | None = [{"id": "m", "owned_by": "someone"}]
        self.vllm = ""
        self.seen: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.most_at_once = self._at_once = 0
        self._lock = threading.Lock()
        self.stopped = threading.Event()
        self._http = _Http(("127.0.0.1", 0), Handler)
        self._http.faulty = self
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def chats(self) -> list[dict[str, Any]]:
        """The bodies of the requests for a chat."""
        return [body for _, _, body in self.seen if body]

    def stop(self) -> None:
        self.stopped.set()
        self._http.shutdown()
        self._http.server_close()

    def get(self, handler: Handler) -> None:
        if handler.path == "/version" and self.vllm:
            handler.json({"version": self.vllm})
        elif handler.path == "/v1/models" and self.models is not None:
            handler.json({"object": "list", "data": self.models})
        else:
            handler.json({"detail": "Not Found"}, 404)

    def post(self, handler: Handler, body: dict[str, Any]) -> None:
        with self._lock:
            self.seen.append((handler.path, dict(handler.headers), body))
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            action = self.plan.pop(0) if self.plan else self.always
        try:
            action(handler, body)
        finally:
            with self._lock:
                self._at_once -= 1


@contextlib.contextmanager
def running() -> Iterator[FaultyServer]:
    """A server for the length of a ``with``."""
    server = FaultyServer()
    try:
        yield server
    finally:
        server.stop()


def choice(text: str | None, index: int = 0, ending: str | None = "stop", **more: Any) -> dict[str, Any]:
    return {"index": index, "finish_reason": ending, "message": {"role": "assistant", "content": text}, **more}


def answer(choices: Sequence[Mapping[str, Any]], prompt_tokens: int = 5, tokens: int = 12) -> dict[str, Any]:
    return {"choices": list(choices), "usage": {"prompt_tokens": prompt_tokens, "completion_tokens": tokens}}


def good(handler: Handler, body: dict[str, Any], *, most: int = 1000) -> None:
    """As many responses as asked for, at most ``most``, of which the first says what was asked."""
    asked = body["messages"][-1]["content"]
    logprobs = {"content": [{"token": "x", "logprob": -0.5}] * 3} if body.get("logprobs") else None
    count = min(most, body.get("n", 1))
    handler.json(answer([choice(f"{asked} {i}", i, logprobs=logprobs) for i in range(count)], tokens=3 * count))


def likeliest(tokens: Mapping[str, float] | None, ending: str = "length", **more: Any) -> Action:
    """One token, with the log-probabilities of these, as many as asked for; None: a server that tells none."""

    def action(handler: Handler, body: dict[str, Any]) -> None:
        told = [{"token": token, "logprob": logprob} for token, logprob in (tokens or {}).items()]
        first = {**(told[0] if told else {}), "top_logprobs": told[: body.get("top_logprobs", 0)]}
        handler.json(answer([choice("x", ending=ending, logprobs=tokens and {"content": [first]}, **more)], tokens=1))

    return action


def at_most(most: int) -> Action:
    """Fewer responses than asked for."""
    return lambda handler, body: good(handler, body, most=most)


def says(payload: Any, status: int = 200, **headers: str) -> Action:
    """A body in JSON; ``Retry_After`` becomes ``Retry-After``."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda handler, body: handler.json(payload, status, named)


def refuses(message: str, status: int = 400, **more: Any) -> Action:
    """An error in OpenAI's shape."""
    return says({"error": {"message": message, "type": "invalid_request_error", **more}}, status)


def html(handler: Handler, body: dict[str, Any]) -> None:
    handler.send(b"<html><body><h1>It works!</h1></body></html>", 200, {"Content-Type": "text/html"})


def stalls(handler: Handler, body: dict[str, Any]) -> None:
    """No answer at all."""
    handler.server.faulty.stopped.wait(30)
    handler.close_connection = True


def drips(handler: Handler, body: dict[str, Any]) -> None:
    """One byte after the other, without an end."""
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    while not handler.server.faulty.stopped.wait(0.02):
        handler.wfile.write(b" ")


def drops(handler: Handler, body: dict[str, Any]) -> None:
    """Half an answer."""
    handler.send(b'{"choices": [', 200, {"Content-Length": "500"})
    handler.close_connection = True


def slow(seconds: Callable[[dict[str, Any]], float]) -> Action:
    """A good answer, after as many seconds as the body is worth."""

    def action(handler: Handler, body: dict[str, Any]) -> None:
        time.sleep(seconds(body))
        good(handler, body)

    return action
