"""Users of the example: each message once, through the official client, half of them streamed."""

import json
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

from tao_ops.benchmarks.metrics import exact_json
from tao_ops.example.entities import pools
from tao_ops.example.messages import Message, messages
from tao_ops.example.templates import INCLUDE, traffic_templates
from tao_ops.serve.exchange import VERSION

LIMIT_S = 120.0


@dataclass(frozen=True)
class Answer:
    """What came of one message.

    Attributes:
        at: when it was asked, ``time.time()``.
        version: of the model that answered; None where nobody did.
        right: whether the answer is the message's own values; None where there was no answer.
        error: what went wrong; empty where nothing did.
    """

    at: float
    version: int | None
    right: bool | None
    seconds: float
    error: str = ""


class Users:
    """Sends messages that no one was sent before, of the same templates and values as the logs of the example."""

    def __init__(self, url: str, seed: int) -> None:
        from openai import OpenAI

        self._client = OpenAI(base_url=f"{url}/v1", api_key="none", timeout=LIMIT_S, max_retries=0)
        self._rng = random.Random(f"users {seed}")
        self._messages: Iterator[Message] = messages(traffic_templates(INCLUDE), pools(INCLUDE).traffic, self._rng)

    def ask(self, model: str) -> Answer:
        """Ask one question, and compare the answer."""
        import openai

        message, user = next(self._messages), f"cust-{self._rng.randrange(600):04d}"
        at, stream = time.time(), self._rng.random() < 0.5
        try:
            text, version = self._asked(model, message.text, user, stream=stream)
        except openai.OpenAIError as error:
            return Answer(at, None, None, time.time() - at, f"{type(error).__name__}: {error}"[:200])
        right = bool(exact_json(text, message.reference))
        return Answer(at, version, right, time.time() - at)

    def _asked(self, model: str, text: str, user: str, *, stream: bool) -> tuple[str, int]:
        asked = self._client.chat.completions.with_raw_response
        common = {"model": model, "user": user, "max_tokens": 64, "temperature": 0.0}
        said = [{"role": "user", "content": text}]
        if not stream:
            raw = asked.create(messages=said, **common)  # type: ignore[call-overload]
            return raw.parse().choices[0].message.content or "", int(raw.headers[VERSION])
        raw = asked.create(messages=said, stream=True, **common)  # type: ignore[call-overload]
        pieces = [chunk.choices[0].delta.content or "" for chunk in raw.parse() if chunk.choices]
        return "".join(pieces), int(raw.headers[VERSION])


def as_rows(answers: list[Answer]) -> list[list[object]]:
    """Answers as a result keeps them: time, version, right, seconds."""
    rows = [[round(one.at, 1), one.version, one.right, round(one.seconds, 2)] for one in answers]
    return json.loads(json.dumps(rows))  # type: ignore[no-any-return]
