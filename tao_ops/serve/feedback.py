"""``POST /v1/feedback``: what a user says of an answer, a thumb or the answer that would have been right.

::

    {"request_id": "req-…", "rating": "down", "corrected": "{\\"customer\\": \\"Anna\\"}"}

``request_id`` is the one of the answer's header, or the answer's own ``id``. At least one of ``rating`` and
``corrected`` is there. Of several feedbacks on one answer the last rating counts, and the last correction. ``user`` may
be there and is not kept: the feedback belongs to the request and so to its user.
"""

import json
from dataclasses import dataclass
from typing import Any, Protocol

from tao_ops.serve.request_ids import RequestIds
from tao_ops.serve.responses import Receive, Refused, Scope, Send, send_json, send_refused
from tao_ops.sources.fields import DOWN, UP, cleaned, feedback, is_text

MOST_CORRECTED = 256 << 10
"""Bytes of a corrected answer: far more than any answer has, and less than what ``ingest`` refuses."""
MOST_BODY = 2 << 20
"""Bytes of the body: JSON may write each character of a text as six."""
_MOST_NAME = 512
"""Characters of a user's name or of an id."""
_KEYS = ("request_id", "rating", "corrected", "user")
RETRY_S = 5.0


class Write(Protocol):
    """Keeps a feedback for ``ingest``; whether it was taken, which it isn't while the buffer is full."""

    def __call__(self, request_id: str, *, feedback: str | None, corrected: str | None) -> bool:
        """Takes one; never waits."""
        ...


@dataclass(frozen=True)
class Given:
    """A feedback.

    Attributes:
        request_id: as in the answer's header.
        rating: ``up`` or ``down``.
        corrected: the answer that would have been right.
    """

    request_id: str
    rating: str | None
    corrected: str | None


class Feedback:
    """The route's application.

    Answers 202 with ``{"request_id", "accepted": true}``; 400 for a body that is none, 404 for an id that no server of
    this installation answered, 501 where nothing is captured, 503 while the capture's buffer is full.

    Args:
        ids: know which requests were answered.
        write: the capture's; None where nothing is captured.
    """

    def __init__(self, ids: RequestIds, write: Write | None) -> None:
        self._ids, self._write = ids, write

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            given = self._take(parse(await _body(receive)))
        except Refused as refused:
            await send_refused(send, refused)
            return
        await send_json(send, 202, {"request_id": given.request_id, "accepted": True})

    def _take(self, given: Given) -> Given:
        if self._write is None:
            raise Refused(
                501,
                "this server keeps no feedback: its capture is off (serve.capture)",
                code="capture_off",
                again=False,
            )
        request_id = self._ids.answered(given.request_id)
        if request_id is None:
            raise Refused(
                404,
                "no request with this id was answered here; take the answer's header x-request-id, or its 'id'",
                code="unknown_request_id",
                param="request_id",
            )
        if not self._write(request_id, feedback=given.rating, corrected=given.corrected):
            raise Refused(503, "feedback cannot be taken right now; try again", code="busy", retry_after=RETRY_S)
        return Given(request_id, given.rating, given.corrected)


def parse(body: bytes) -> Given:
    """A feedback from a request's body; its id is not looked up yet.

    Raises:
        Refused: with status 400; names the field.

    >>> parse(b'{"request_id": "req-1", "rating": "thumbs_up"}')
    Given(request_id='req-1', rating='up', corrected=None)
    """
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        raise _wrong("the body is no JSON") from None
    if not isinstance(told, dict):
        raise _wrong("the body is no JSON object")
    if unknown := next((key for key in told if key not in _KEYS), None):
        name = cleaned(unknown[:40])
        raise _wrong(f"unknown field {name!r}; there are: {', '.join(_KEYS)}", name)
    request_id = _text(told, "request_id", _MOST_NAME)
    if request_id is None:
        raise _wrong("'request_id' is missing", "request_id")
    _text(told, "user", _MOST_NAME)
    rating, corrected = _rating(told.get("rating")), _text(told, "corrected", MOST_CORRECTED)
    if rating is None and corrected is None:
        raise _wrong("say 'rating', 'corrected' or both", "rating")
    return Given(request_id, rating, corrected)


def _rating(value: Any) -> str | None:
    if value is None:
        return None
    found = feedback(value)
    if found is None:
        raise _wrong(f"'rating' is none of {', '.join((*UP, *DOWN))}", "rating")
    return found


def _text(told: dict[str, Any], name: str, most: int) -> str | None:
    """A field's text of at most ``most`` bytes; None where it is missing."""
    value = told.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip() or not is_text(value):
        raise _wrong(f"{name!r} is no text, or is empty", name)
    if len(value.encode()) > most:
        raise _wrong(f"{name!r} is longer than {most} bytes", name)
    return value


def _wrong(message: str, param: str | None = None) -> Refused:
    return Refused(400, message, code="invalid_feedback", param=param)


async def _body(receive: Receive) -> bytes:
    """The whole body, of a bounded size."""
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refused(400, "the body was cut off", close=True)
        part = message.get("body", b"")
        size += len(part)
        if size > MOST_BODY:
            raise Refused(413, f"the body is longer than {MOST_BODY} bytes", code="body_too_large", close=True)
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)
