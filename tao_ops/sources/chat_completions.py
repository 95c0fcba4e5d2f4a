"""Calls of OpenAI's chat-completions API as JSON lines, plain, gzip or zstd.

One line is one call, as a server's or a gateway's logging writes it; ``request`` and ``response`` are the bodies as
the API's reference describes them (also those of vLLM, SGLang, llama.cpp and TGI, which follow it)::

    {"request_id": "req-…", "received_at": "2026-11-21T08:14:03.120Z", "route": "/v1/chat/completions",
     "tags": ["beta"],
     "request": {"model": …, "user": …, "messages": [{"role", "content"}, …], "metadata": {"task": …}},
     "response": {"model": …, "choices": [{"message": {"content": …}}]},
     "feedback": "up", "corrected": "…"}

================= =====================================================================================
field             key
================= =====================================================================================
``request_id``    ``request_id``; may be missing
``received_at``   ``received_at``, ISO 8601 with a zone
``messages``      ``request.messages``
``task``          ``request.metadata.task``; may be missing
``model``         ``request.model``
``route``         ``route``; may be missing
``tags``          ``tags``; may be missing
``user``          ``request.user``, else ``request.safety_identifier``; may be missing
``model_version`` ``response.model``; may be missing
``response``      ``response.choices[0].message.content``; may be missing
``feedback``      ``feedback``: ``up`` or ``down`` (also ``thumbs_up``, ``positive``, 1, true …); may be missing
``corrected``     ``corrected``: the answer that would have been right; may be missing
================= =====================================================================================
"""

from collections.abc import Iterator
from typing import Any

from tao_ops.config import SourceConfig
from tao_ops.sources import fields
from tao_ops.sources.fields import text_or_none
from tao_ops.sources.json_lines import Parse
from tao_ops.sources.records import BrokenLine, LoggedQuery
from tao_ops.tables import Reason


def reader(source: SourceConfig) -> Parse:
    """Reads one line's record."""

    def parse(record: Any, position: str) -> Iterator[LoggedQuery | BrokenLine]:
        yield _query(record, position, source.non_text)

    return parse


def _query(record: Any, position: str, non_text: fields.NonText) -> LoggedQuery | BrokenLine:
    if not isinstance(record, dict):
        return BrokenLine(position, Reason.WRONG_SHAPE, fields.shown(record))
    request = record.get("request")
    request = request if isinstance(request, dict) else {}
    user = text_or_none(request.get("user")) or text_or_none(request.get("safety_identifier"))
    received_at = fields.iso_time(record.get("received_at"))
    if received_at is None:
        return BrokenLine(position, Reason.NO_TIME, fields.shown(record), user=user)
    said = fields.conversation(request.get("messages"), non_text)
    if isinstance(said, Reason):
        return BrokenLine(position, said, fields.shown(record), received_at, user)
    metadata, response, tags = request.get("metadata"), record.get("response"), record.get("tags")
    return LoggedQuery(
        position=position,
        request_id=text_or_none(record.get("request_id")),
        received_at=received_at,
        messages=said.messages,
        system=said.system,
        task=text_or_none(metadata.get("task")) if isinstance(metadata, dict) else None,
        model=text_or_none(request.get("model")),
        route=text_or_none(record.get("route")),
        tags=tuple(tag for tag in tags if text_or_none(tag)) if isinstance(tags, list) else (),
        user=user,
        model_version=text_or_none(response.get("model")) if isinstance(response, dict) else None,
        response=fields.answer(response),
        feedback=fields.feedback(record.get("feedback")),
        corrected=text_or_none(record.get("corrected")),
    )
