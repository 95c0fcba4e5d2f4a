"""OpenTelemetry's GenAI spans, as OTLP JSON: one export request or one span batch per record.

A record is ``{"resourceSpans": [{"resource", "scopeSpans": [{"spans": […]}]}]}``, as the Collector's file exporter and
OTLP/HTTP write it (OTLP specification 1.x, "JSON Protobuf Encoding"). Attributes are those of the semantic conventions
for generative AI, today's (1.37 and later), the events of 1.28 to 1.36, and OpenLLMetry's (``gen_ai.prompt.N.…``).

================= =====================================================================================
field             attribute of the span
================= =====================================================================================
``request_id``    ``gen_ai.response.id``, else the trace's and the span's id
``received_at``   ``startTimeUnixNano``
``messages``      ``gen_ai.input.messages``, ``gen_ai.prompt.N.role`` and ``.content``, ``gen_ai.prompt``, or the events
                  ``gen_ai.user.message``, ``gen_ai.assistant.message``, …; before them the system message of
                  ``gen_ai.system_instructions``
``task``          ``traceloop.association.properties.task``, or ``metadata.task``
``model``         ``gen_ai.request.model``
``route``         ``http.route`` of the span, or of the nearest span around it in the same record
``tags``          ``service.name`` of the resource, ``gen_ai.agent.name``
``user``          ``user.id``, ``enduser.id``, ``gen_ai.user``, ``llm.user``; of the span or of those around it
``model_version`` ``gen_ai.response.model``
``response``      ``gen_ai.output.messages``, ``gen_ai.completion.0.content``, ``gen_ai.completion``, or the event
                  ``gen_ai.choice``
================= =====================================================================================

Queries are spans that ask a model for text (``gen_ai.operation.name`` is ``chat``, ``text_completion`` or
``generate_content``, or missing beside a model or messages). Other spans of a trace, agents and tools among them, are
passed over. A span whose instrumentation did not capture its content is refused as having no messages.
"""

from collections.abc import Iterator
from typing import Any

from tao_ops.config import SourceConfig
from tao_ops.sources import fields
from tao_ops.sources.fields import text_or_none
from tao_ops.sources.json_lines import Parse
from tao_ops.sources.otel_messages import Attributes, asked, attributes, said_back
from tao_ops.sources.records import BrokenLine, LoggedQuery
from tao_ops.tables import Reason

_CHATS = ("chat", "text_completion", "generate_content", "completion")
"""Values of ``gen_ai.operation.name``, and of ``llm.request.type``, its forerunner."""

_USER = ("user.id", "enduser.id", "gen_ai.user", "llm.user")
_TASK = ("traceloop.association.properties.task", "metadata.task")


def reader(source: SourceConfig) -> Parse:
    """Reads one record of many spans."""

    def parse(record: Any, position: str) -> Iterator[LoggedQuery | BrokenLine]:
        if not isinstance(record, dict) or not isinstance(record.get("resourceSpans"), list):
            yield BrokenLine(position, Reason.WRONG_SHAPE, fields.shown(record))
            return
        spans = [_Span(span, resource) for span, resource in _spans(record)]
        by_id = {span.span_id: span for span in spans if span.span_id}
        for number, span in enumerate(spans):
            if span.is_query:
                yield _query(span, by_id, f"{position}#{number}", source.non_text)

    return parse


class _Span:
    """A span, its attributes decoded."""

    def __init__(self, raw: dict[str, Any], resource: Attributes) -> None:
        self.raw, self.resource = raw, resource
        self.attributes = attributes(raw.get("attributes"))
        self.trace_id, self.span_id = text_or_none(raw.get("traceId")), text_or_none(raw.get("spanId"))
        self.parent_id = text_or_none(raw.get("parentSpanId"))

    @property
    def is_query(self) -> bool:
        kind = self.attributes.get("gen_ai.operation.name") or self.attributes.get("llm.request.type")
        if kind:
            return kind in _CHATS
        return any(
            key.startswith(("gen_ai.request.model", "gen_ai.input.", "gen_ai.prompt")) for key in self.attributes
        )


def _spans(record: dict[str, Any]) -> Iterator[tuple[dict[str, Any], Attributes]]:
    for group in _objects(record.get("resourceSpans")):
        resource = group.get("resource")
        shared = attributes(resource.get("attributes")) if isinstance(resource, dict) else {}
        for scope in _objects(group.get("scopeSpans")):
            for span in _objects(scope.get("spans")):
                yield span, shared


def _objects(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _query(span: _Span, by_id: dict[str, _Span], position: str, non_text: fields.NonText) -> LoggedQuery | BrokenLine:
    user = _found(span, by_id, *_USER)
    received_at = fields.epoch_time(span.raw.get("startTimeUnixNano"), per_second=1_000_000_000)
    if received_at is None:
        return BrokenLine(position, Reason.NO_TIME, fields.shown(span.raw), user=user)
    events = [(event.get("name"), attributes(event.get("attributes"))) for event in _objects(span.raw.get("events"))]
    said = fields.conversation(asked(span.attributes, events), non_text)
    if isinstance(said, Reason):
        return BrokenLine(position, said, fields.shown(span.raw), received_at, user)
    own = f"{span.trace_id}:{span.span_id}" if span.trace_id and span.span_id else None
    tags = (text_or_none(span.resource.get("service.name")), text_or_none(span.attributes.get("gen_ai.agent.name")))
    return LoggedQuery(
        position=position,
        request_id=text_or_none(span.attributes.get("gen_ai.response.id")) or own,
        received_at=received_at,
        messages=said.messages,
        system=said.system,
        task=_found(span, by_id, *_TASK),
        model=text_or_none(span.attributes.get("gen_ai.request.model")),
        route=_found(span, by_id, "http.route"),
        tags=tuple(tag for tag in tags if tag),
        user=user,
        model_version=text_or_none(span.attributes.get("gen_ai.response.model")),
        response=said_back(span.attributes, events),
    )


def _found(span: _Span, by_id: dict[str, _Span], *keys: str) -> str | None:
    """The first of these attributes that the span has, or the nearest span around it."""
    at: _Span | None = span
    seen: set[str | None] = set()
    while at is not None and at.span_id not in seen:
        for key in keys:
            if text := text_or_none(at.attributes.get(key)):
                return text
        seen.add(at.span_id)
        at = by_id.get(at.parent_id) if at.parent_id else None
    return None
