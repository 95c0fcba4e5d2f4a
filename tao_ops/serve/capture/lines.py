"""From an exchange to a segment's line: redacted, the user hashed, nothing else that could be personal."""

import math
import unicodedata
from collections.abc import Callable
from typing import Any

from tao_ops.privacy import Redactor, keyed_hash
from tao_ops.serve.capture.exchanges import choices_of
from tao_ops.serve.capture.setup import Setup
from tao_ops.serve.exchange import Arm, Exchange
from tao_ops.serve.lanes import drawn

_PARAMETERS = (
    "frequency_penalty", "logprobs", "max_completion_tokens", "max_tokens", "min_p", "n", "presence_penalty",
    "repetition_penalty", "seed", "stream", "temperature", "top_k", "top_logprobs", "top_p",
)  # fmt: skip
"""Of a request's parameters those that are numbers or truth values."""

_ROLES = ("user", "assistant", "system", "developer", "tool", "function")
_SYSTEM = ("system", "developer")
_SALT = "capture"


class Lines:
    """Makes lines.

    A line has what the format ``chat_completions`` has, and nothing that was not on the list: an unknown key of a body
    may hold anything. Texts that a person wrote are redacted together, in the order in which ``ingest`` would.
    """

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._redactors: dict[str, Redactor] = {}
        for task in setup.privacy or ("",):  # now, while the server starts, and not with the first record
            self._redactor(task)

    def of_exchange(self, exchange: Exchange) -> dict[str, Any] | str:
        """The line's record, or the reason why there is none."""
        if exchange.arm is Arm.SHADOW:
            return "shadow"
        if not exchange.answered:
            return "unanswered"
        sample = self._setup.config.sample
        if sample < 1.0 and drawn(_SALT, exchange.user or exchange.request_id) >= sample:
            return "not_sampled"
        redactor = self._redactor(exchange.task)
        request, response = exchange.request, exchange.response or {}
        texts = _Texts()
        asked = _request(request, exchange.task, texts)
        answer = _response(response, exchange.model_version, texts)
        tags, told = _tags(request, texts), {"route": ""}
        texts.add(told, "route", exchange.route, later=True)
        texts.redact(redactor)
        user = exchange.user
        return {
            "kind": "exchange",
            "request_id": exchange.request_id,
            "received_at": exchange.received_at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "route": told["route"],
            "tags": tags,
            "user_hash": keyed_hash(self._setup.key, "user", user) if user else None,
            "version": exchange.version,
            "arm": exchange.arm.value,
            "seconds": exchange.seconds,
            "first_seconds": exchange.first_seconds,
            "prompt_tokens": exchange.prompt_tokens,
            "tokens": exchange.tokens,
            "redactor_version": redactor.version,
            "request": asked,
            "response": answer,
        }

    def of_feedback(self, told: dict[str, Any]) -> dict[str, Any]:
        """The record of what a user said of an answer."""
        corrected = told["corrected"]
        if corrected is not None:
            corrected = self._redactor(None).redact(_clean(corrected))
        kept = {key: told[key] for key in ("kind", "request_id", "received_at", "feedback")}
        return {**kept, "corrected": corrected}

    def _redactor(self, task: str | None) -> Redactor:
        """That of the task; of one that nobody said, or nobody knows, the strictest."""
        name = task if task is not None and task in self._setup.privacy else ""
        if name not in self._redactors:
            self._redactors[name] = Redactor(self._setup.privacy.get(name, self._setup.strictest))
        return self._redactors[name]


class _Texts:
    """The texts of one exchange, and where each is put back."""

    def __init__(self) -> None:
        self._first: list[tuple[str, Callable[[str], None]]] = []
        self._later: list[tuple[str, Callable[[str], None]]] = []

    def add(self, holder: Any, key: Any, text: str, *, later: bool = False) -> None:
        """A text that goes to ``holder[key]``; ``later`` for one that has no say in the placeholders' numbers."""

        def put(clean: str) -> None:
            holder[key] = clean

        holder[key] = ""
        (self._later if later else self._first).append((_clean(text), put))

    def redact(self, redactor: Redactor) -> None:
        every = self._first + self._later
        for clean, (_, put) in zip(redactor.together([text for text, _ in every]), every, strict=True):
            put(clean)


def _clean(text: str) -> str:
    """In Unicode NFC, as ``ingest`` would have it."""
    return unicodedata.normalize("NFC", text)


def _request(request: dict[str, Any], task: str | None, texts: _Texts) -> dict[str, Any]:
    asked: dict[str, Any] = {}
    if isinstance(request.get("model"), str):
        texts.add(asked, "model", request["model"], later=True)
    for name in _PARAMETERS:
        value = request.get(name)
        if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):  # JSON has no other numbers
            asked[name] = value
    if task is not None:
        asked["metadata"] = {}
        texts.add(asked["metadata"], "task", task, later=True)
    if isinstance(request.get("messages"), list):
        said = [message for message in request["messages"] if isinstance(message, dict)]
        asked["messages"] = [_message(message, texts) for message in said]
    elif isinstance(request.get("prompt"), str):
        texts.add(asked, "prompt", request["prompt"])
    return asked


def _message(message: dict[str, Any], texts: _Texts) -> dict[str, Any]:
    role, content = message.get("role"), message.get("content")
    kept: dict[str, Any] = {"role": role if role in _ROLES else "unknown"}
    later = role in _SYSTEM
    if isinstance(content, str):
        texts.add(kept, "content", content, later=later)
    elif isinstance(content, list):
        kept["content"] = [_part(part, texts, later) for part in content]
    else:
        kept["content"] = None
    if message.get("tool_calls") or message.get("function_call"):
        kept["tool_calls"] = [{"type": "function"}]  # that there was one, without its arguments
    return kept


def _part(part: Any, texts: _Texts, later: bool) -> dict[str, Any]:
    """A part of a content: its text; of an image or a sound only that it is one."""
    if isinstance(part, str):
        part = {"type": "text", "text": part}
    kind = part.get("type") if isinstance(part, dict) else None
    if kind in ("text", "input_text", "output_text") and isinstance(part.get("text"), str):
        kept = {"type": kind}
        texts.add(kept, "text", part["text"], later=later)
        return kept
    return {"type": "other"}


def _response(response: dict[str, Any], model_version: str | None, texts: _Texts) -> dict[str, Any]:
    answer: dict[str, Any] = {"choices": []}
    model = model_version or response.get("model")
    if isinstance(model, str):
        answer["model"] = model
    for choice in choices_of(response):
        kept: dict[str, Any] = {"index": choice.get("index") if isinstance(choice.get("index"), int) else 0}
        if isinstance(choice.get("finish_reason"), str):
            kept["finish_reason"] = choice["finish_reason"]
        if isinstance(choice.get("text"), str):
            texts.add(kept, "text", choice["text"])
        elif isinstance(choice.get("message"), dict):
            kept["message"] = _message({**choice["message"], "role": "assistant"}, texts)
        answer["choices"].append(kept)
    return answer


def _tags(request: dict[str, Any], texts: _Texts) -> list[str]:
    metadata = request.get("metadata")
    tags = metadata.get("tags") if isinstance(metadata, dict) else None
    found = [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []
    kept = [""] * len(found)
    for place, tag in enumerate(found):
        texts.add(kept, place, tag, later=True)
    return kept
