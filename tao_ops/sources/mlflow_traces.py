"""MLflow's traces as JSON: one trace per record.

Read are ``Trace.to_json()`` of MLflow 3 (``info``, ``data.spans``; MLflow's documentation, "Trace Concepts"), the rows
of ``mlflow.search_traces()`` written as JSON (they hold the same in ``trace``), and the ``info`` of MLflow 2.

================= =====================================================================================
field             where it is
================= =====================================================================================
``request_id``    ``info.trace_id``; of a call within the trace ``trace_id:span_id``
``received_at``   the span's ``start_time_unix_nano``, else ``info.request_time`` (ISO 8601, or milliseconds since
                  1970) or ``info.timestamp_ms``
``messages``      the span's ``mlflow.spanInputs``; of a trace without spans ``request``
``task``          tag ``task``, else ``task`` of ``info.trace_metadata``
``model``         ``model`` of the inputs, else the span's ``mlflow.llm.model``
``route``         tag ``mlflow.traceName``
``tags``          the other tags, ``key=value``, without MLflow's own
``user``          ``mlflow.trace.user`` of ``info.trace_metadata``
``model_version`` ``model`` of the outputs, else ``mlflow.llm.model``; none without outputs
``response``      the span's ``mlflow.spanOutputs``; of a trace without spans ``response``
================= =====================================================================================

The queries of a trace are its calls of a model: the spans of type ``CHAT_MODEL`` or ``LLM`` that lie in no other such
span. Where there is none, its root span is the query.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tao_ops.config import SourceConfig
from tao_ops.sources import fields
from tao_ops.sources.fields import text_or_none
from tao_ops.sources.json_lines import Parse
from tao_ops.sources.payloads import decoded, labels, mapping, request_messages, response_text
from tao_ops.sources.records import BrokenLine, LoggedQuery
from tao_ops.tables import Reason

_CALLS = ("CHAT_MODEL", "LLM")


@dataclass(frozen=True)
class _Call:
    """A request and its response, as one span holds them."""

    span_id: str | None
    started: Any
    inputs: Any
    outputs: Any
    model: str | None


def reader(source: SourceConfig) -> Parse:
    """Reads one trace."""

    def parse(record: Any, position: str) -> Iterator[LoggedQuery | BrokenLine]:
        trace = _trace(record)
        info = mapping(trace.get("info"))
        if not info:
            yield BrokenLine(position, Reason.WRONG_SHAPE, fields.shown(record))
            return
        calls = _calls(trace)
        for number, call in enumerate(calls):
            yield _query(info, call, f"{position}#{number}" if len(calls) > 1 else position, source.non_text)

    return parse


def _trace(record: Any) -> dict[str, Any]:
    """The trace of a record, which may be a row of ``search_traces``."""
    if not isinstance(record, dict):
        return {}
    whole = mapping(record.get("trace"))
    if whole:
        return whole
    if "info" not in record and "trace_id" in record and "request_time" in record:
        return {**record, "info": record, "data": {"spans": record.get("spans")}}
    return record


def _calls(trace: dict[str, Any]) -> list[_Call]:
    listed = mapping(trace.get("data")).get("spans")
    spans = [span for span in listed if isinstance(span, dict)] if isinstance(listed, list) else []
    parents = {_id(span, "span_id"): _id(span, "parent_span_id", "parent_id") for span in spans}
    models = {_id(span, "span_id") for span in spans if _attribute(span, "mlflow.spanType") in _CALLS}
    calls = [_call(span) for span in spans if _id(span, "span_id") in models and not _inside(span, parents, models)]
    roots = [_call(span, root=True) for span in spans if _id(span, "parent_span_id", "parent_id") is None]
    data = mapping(trace.get("data"))
    request, response = (trace.get(key) or data.get(key) for key in ("request", "response"))
    return calls or roots[:1] or [_Call(None, None, request, response, None)]


def _inside(span: dict[str, Any], parents: dict[str | None, str | None], models: set[str | None]) -> bool:
    """Whether a span lies, at any depth, in one of ``models``."""
    above, seen = parents.get(_id(span, "span_id")), {_id(span, "span_id")}
    while above is not None and above not in seen:
        if above in models:
            return True
        seen.add(above)
        above = parents.get(above)
    return False


def _call(span: dict[str, Any], root: bool = False) -> _Call:
    inputs, outputs = _attribute(span, "mlflow.spanInputs"), _attribute(span, "mlflow.spanOutputs")
    own = None if root else _id(span, "span_id")
    model = text_or_none(_attribute(span, "mlflow.llm.model"))
    return _Call(own, span.get("start_time_unix_nano") or span.get("start_time_ns"), inputs, outputs, model)


def _id(span: dict[str, Any], *keys: str) -> str | None:
    return next((text for key in keys if (text := text_or_none(span.get(key)))), None)


def _attribute(span: dict[str, Any], key: str) -> Any:
    """An attribute's value: MLflow keeps each as a text of JSON."""
    value = mapping(span.get("attributes")).get(key)
    if isinstance(value, str) and len(value) > 1 and value.startswith('"') and value.endswith('"'):
        found = decoded(f"[{value}]")
        return found[0] if isinstance(found, list) and len(found) == 1 else value
    return decoded(value)


def _query(info: dict[str, Any], call: _Call, position: str, non_text: fields.NonText) -> LoggedQuery | BrokenLine:
    metadata = mapping(info.get("trace_metadata")) or mapping(info.get("request_metadata"))
    tags = mapping(info.get("tags"))
    user = text_or_none(metadata.get("mlflow.trace.user"))
    received_at = _time(info, call)
    shown = {"info": info, "inputs": call.inputs, "outputs": call.outputs}
    if received_at is None:
        return BrokenLine(position, Reason.NO_TIME, fields.shown(shown), user=user)
    said = fields.conversation(request_messages(call.inputs), non_text)
    if isinstance(said, Reason):
        return BrokenLine(position, said, fields.shown(shown), received_at, user)
    trace_id = text_or_none(info.get("trace_id")) or text_or_none(info.get("request_id"))
    asked, named = mapping(call.inputs).get("model"), mapping(call.outputs).get("model")
    return LoggedQuery(
        position=position,
        request_id=f"{trace_id}:{call.span_id}" if trace_id and call.span_id else trace_id,
        received_at=received_at,
        messages=said.messages,
        system=said.system,
        task=text_or_none(tags.get("task")) or text_or_none(metadata.get("task")),
        model=text_or_none(asked) or call.model,
        route=text_or_none(tags.get("mlflow.traceName")),
        tags=labels({key: value for key, value in tags.items() if not key.startswith("mlflow.")}),
        user=user,
        model_version=(text_or_none(named) or call.model) if call.outputs else None,
        response=response_text(call.outputs),
    )


def _time(info: dict[str, Any], call: _Call) -> datetime | None:
    whole = info.get("request_time")
    return (
        fields.epoch_time(call.started, per_second=1_000_000_000)
        or fields.iso_time(whole)
        or fields.epoch_time(whole, per_second=1000)
        or fields.epoch_time(info.get("timestamp_ms"), per_second=1000)
    )
