"""Clients of the trial: requests without a pause, each with an id of its own, and what came back when."""

import json
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import httpx

LIMIT_S = 120.0


@dataclass
class Seen:
    """What the clients of one server saw.

    Attributes:
        asked: ids of all requests that were sent.
        answered: the time of the last byte of each answer that came whole, by the id.
        polls: time, and the server's counts, each taken before the time of the next.
    """

    asked: set[str] = field(default_factory=set)
    answered: dict[str, float] = field(default_factory=dict)
    polls: list[tuple[float, dict[str, Any]]] = field(default_factory=list)

    def synced(self) -> set[str]:
        """Answers that came before the last sync that the server told of: the pipe keeps their order."""
        done = max((counts["synced"] for _, counts in self.polls), default=0)
        until = max((at for at, counts in self.polls if counts["captured"] <= done), default=0.0)
        return {one for one, at in self.answered.items() if at < until}


class Load:
    """Threads that ask one server until they are told to stop, or it is gone; every second answer is a stream."""

    def __init__(self, url: str, prefix: str, *, model: str, clients: int, tokens: int) -> None:
        self.seen = Seen()
        self._url, self._prefix, self._model, self._tokens = url, prefix, model, tokens
        self._stop = threading.Event()
        every = [threading.Thread(target=self._ask, args=(number,)) for number in range(clients)]
        self._threads = [*every, threading.Thread(target=self._poll)]
        for thread in self._threads:
            thread.start()

    def end(self) -> Seen:
        """Stop asking; what was seen."""
        self._stop.set()
        for thread in self._threads:
            thread.join(LIMIT_S)
        return self.seen

    def _ask(self, number: int) -> None:
        with httpx.Client(base_url=self._url, timeout=LIMIT_S) as client:
            count = 0
            while not self._stop.is_set():
                count += 1
                identity = f"{self._prefix}-{number}-{count}"
                self.seen.asked.add(identity)
                try:
                    answered = self._one(client, identity, stream=count % 2 == 0)
                except httpx.HTTPError:
                    time.sleep(0.05)  # it was killed
                    continue
                self.seen.answered[answered] = time.monotonic()

    def _one(self, client: httpx.Client, identity: str, *, stream: bool) -> str:
        """The id of the answer, as the server says it.

        Raises:
            httpx.HTTPError: no whole answer came.
        """
        body = {
            "model": self._model,
            "stream": stream,
            "user": f"user {identity}",
            "max_tokens": self._tokens,
            "metadata": {"id": identity},
            "messages": [{"role": "user", "content": f"{identity} asks where the jacket is, which never came."}],
        }
        path, headers = "/v1/chat/completions", {"x-request-id": identity}
        if not stream:
            got = client.post(path, json=body, headers=headers)
            got.raise_for_status()
            return str(got.json()["id"])
        with client.stream("POST", path, json=body, headers=headers) as response:
            response.raise_for_status()
            lines = [line for line in response.iter_lines() if line]
        if not lines or lines[-1] != "data: [DONE]":
            raise httpx.HTTPError("cut off")
        return str(json.loads(lines[0].removeprefix("data: "))["id"])

    def _poll(self) -> None:
        with httpx.Client(base_url=self._url, timeout=LIMIT_S) as client:
            while not self._stop.is_set():
                at = time.monotonic()
                try:
                    self.seen.polls.append((at, client.get("/counts").json()))
                except (httpx.HTTPError, ValueError):
                    time.sleep(0.05)
                time.sleep(0.01)
