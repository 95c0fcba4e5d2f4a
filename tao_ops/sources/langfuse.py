"""Langfuse's exports of observations and traces: a JSON array, or JSON lines.

Read are what the API and the UI export (camelCase; Langfuse's "API reference") and what the export to blob storage
writes (snake_case; "Blob Storage Export Field Reference", enriched and legacy). ``input`` and ``output`` may be texts
of JSON.

================= =====================================================================================
field             key of an observation, or of a trace
================= =====================================================================================
``request_id``    ``id``
``received_at``   ``startTime``, or ``timestamp``: ISO 8601, in UTC where it has no zone
``messages``      ``input``: messages, a request's body, one message, or a text
``task``          ``metadata.task``
``model``         ``model``, ``providedModelName``
``route``         ``traceName``, or a trace's ``name``
``tags``          ``tags``, ``traceTags``
``user``          ``userId``
``model_version`` ``output.model``, else the model; none without an ``output``
``response``      ``output``: a response's body, a message, or a text
================= =====================================================================================

Of observations those of type ``GENERATION`` are queries. Spans, events, tools and others are steps around them and
passed over, as scores are: they are not counted as broken. A trace that carries its observations stands for its
generations, which get its user, tags and name; one that carries none is itself the query. So do not name traces and
observations of the same calls in one source: each call would come in twice.
"""

from collections.abc import Iterator
from typing import Any

from tao_ops.config import SourceConfig
from tao_ops.sources import fields
from tao_ops.sources.fields import text_or_none
from tao_ops.sources.json_lines import Parse
from tao_ops.sources.payloads import decoded, mapping, request_messages, response_text, utc_time, words
from tao_ops.sources.records import BrokenLine, LoggedQuery
from tao_ops.tables import Reason

_QUERY = "GENERATION"


def reader(source: SourceConfig) -> Parse:
    """Reads one observation, or one trace."""

    def parse(record: Any, position: str) -> Iterator[LoggedQuery | BrokenLine]:
        if not isinstance(record, dict):
            yield BrokenLine(position, Reason.WRONG_SHAPE, fields.shown(record))
            return
        generations = _generations(record)
        for number, generation in enumerate(generations):
            yield _query(generation, record, f"{position}#{number}", source.non_text)
        if not generations and (found := _own(record, position, source.non_text)):
            yield found

    return parse


def _generations(trace: dict[str, Any]) -> list[dict[str, Any]]:
    carried = trace.get("observations")
    every = carried if isinstance(carried, list) else []
    return [one for one in every if isinstance(one, dict) and one.get("type") == _QUERY]


def _own(record: dict[str, Any], position: str, non_text: fields.NonText) -> LoggedQuery | BrokenLine | None:
    kind, is_score = record.get("type"), bool({"dataType", "data_type"} & set(record))
    if is_score or (isinstance(kind, str) and kind != _QUERY):
        return None
    if not ({"startTime", "start_time", "timestamp"} & set(record)) or not (kind is None or kind == _QUERY):
        return BrokenLine(position, Reason.WRONG_SHAPE, fields.shown(record))
    return _query(record, record, position, non_text)


def _query(
    record: dict[str, Any], trace: dict[str, Any], position: str, non_text: fields.NonText
) -> LoggedQuery | BrokenLine:
    user = _text(record, "userId", "user_id") or _text(trace, "userId", "user_id")
    received_at = utc_time(_first(record, "startTime", "start_time", "timestamp"))
    if received_at is None:
        return BrokenLine(position, Reason.NO_TIME, fields.shown(record), user=user)
    said = fields.conversation(request_messages(record.get("input")), non_text)
    if isinstance(said, Reason):
        return BrokenLine(position, said, fields.shown(record), received_at, user)
    output = decoded(record.get("output"))
    model = _text(record, "model", "providedModelName", "provided_model_name")
    named = output.get("model") if isinstance(output, dict) else None
    tags = _first(record, "tags", "traceTags", "trace_tags") or trace.get("tags")
    return LoggedQuery(
        position=position,
        request_id=text_or_none(record.get("id")),
        received_at=received_at,
        messages=said.messages,
        system=said.system,
        task=_task(record) or _task(trace),
        model=model,
        route=_text(record, "traceName", "trace_name") or _name(trace),
        tags=words(tags),
        user=user,
        model_version=(text_or_none(named) or model) if output else None,
        response=response_text(output),
    )


def _name(trace: dict[str, Any]) -> str | None:
    return _text(trace, "name") if trace.get("type") is None else None


def _first(record: dict[str, Any], *keys: str) -> Any:
    return next((record[key] for key in keys if record.get(key)), None)


def _text(record: dict[str, Any], *keys: str) -> str | None:
    return text_or_none(_first(record, *keys))


def _task(record: dict[str, Any]) -> str | None:
    return text_or_none(mapping(record.get("metadata")).get("task"))
