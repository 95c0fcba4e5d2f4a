"""Databricks inference tables, as Delta tables or Parquet files.

Both layouts are read: that of AI Gateway (Databricks' documentation, "Monitor served models using AI Gateway-enabled
inference tables") and the older one ("Inference tables for monitoring and debugging models").

================= =====================================================================================
field             column, or key of the JSON that a column holds
================= =====================================================================================
``request_id``    ``databricks_request_id``, else ``request_id``, else ``client_request_id``
``received_at``   ``request_time``, else ``timestamp_ms``
``messages``      ``request``: the body of a chat completion or of the Responses API
``task``          ``request.metadata.task``
``model``         ``request.model``, else ``model_name`` of ``request_metadata``
``route``         ``endpoint_name``, else that of ``request_metadata``
``tags``          ``request_tags``, as ``key=value``
``user``          ``request.user``, else ``requester``
``model_version`` ``response.model``, else ``model_name`` and ``model_version`` of ``request_metadata``, else
                  ``served_entity_id``; none without a response
``response``      ``response``: the body's first choice, or its ``output``
================= =====================================================================================

A ``status_code`` other than 200 keeps the query and drops the response. A request that Databricks left out for its
size is null, and refused as having no messages.
"""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from tao_ops.config import SourceConfig
from tao_ops.errors import DataError
from tao_ops.sources import fields
from tao_ops.sources.columnar import Columns, Row, is_text, scan
from tao_ops.sources.fields import text_or_none
from tao_ops.sources.payloads import labels, mapping, request_messages, response_text
from tao_ops.sources.records import Batch, BrokenLine, LoggedQuery, Window, batches
from tao_ops.tables import Reason

_TIMES = ("request_time", "timestamp_ms")
_IDS = ("databricks_request_id", "request_id", "client_request_id")
_OTHERS = ("status_code", "endpoint_name", "request_metadata", "request_tags", "requester", "served_entity_id")


def read(source: SourceConfig, path: str, window: Window) -> Iterator[Batch]:
    """The rows of the files that ``path`` matches, or of the Delta table that it names, in batches by file.

    Rows outside the window are left out; one without a time is broken.

    Raises:
        DataError: nothing matches, a file cannot be read, or it is no inference table.
    """
    for file, rows in scan(path, _choose, window, source.connection):
        yield from batches(file, (_query(row, source.non_text) for row in rows))


def _choose(file: str, schema: pa.Schema) -> Columns:
    time = next((name for name in _TIMES if name in schema.names), None)
    missing = [
        name for name in ("request", "response") if name not in schema.names or not is_text(schema.field(name).type)
    ]
    if time is None or missing:
        wanted = missing[0] if missing else " or ".join(_TIMES)
        raise DataError(
            f"no inference table: there is no column '{wanted}' of its type; there are: {', '.join(schema.names)}",
            where=file,
            mend="say 'format: table' and name its columns",
        )
    return Columns(time, tuple(name for name in ("request", "response", *_IDS, *_OTHERS) if name in schema.names))


def _query(row: Row, non_text: fields.NonText) -> LoggedQuery | BrokenLine:
    values = row.values
    if values is None:
        return BrokenLine(row.position, Reason.NOT_TEXT, "a text that is not UTF-8", row.received_at)
    request, response = mapping(values.get("request")), mapping(values.get("response"))
    user = text_or_none(request.get("user")) or text_or_none(values.get("requester"))
    if row.received_at is None:
        return BrokenLine(row.position, Reason.NO_TIME, _shown(values), user=user)
    said = fields.conversation(request_messages(request), non_text)
    if isinstance(said, Reason):
        reason = Reason.NOT_JSON if values.get("request") and not request else said
        return BrokenLine(row.position, reason, _shown(values), row.received_at, user)
    metadata = _map(values.get("request_metadata"))
    answered = values.get("status_code") in (None, 200) and bool(response)
    return LoggedQuery(
        position=row.position,
        request_id=next((text for name in _IDS if (text := text_or_none(values.get(name)))), None),
        received_at=row.received_at,
        messages=said.messages,
        system=said.system,
        task=text_or_none(mapping(request.get("metadata")).get("task")),
        model=text_or_none(request.get("model")) or text_or_none(metadata.get("model_name")),
        route=text_or_none(values.get("endpoint_name")) or text_or_none(metadata.get("endpoint_name")),
        tags=labels(_map(values.get("request_tags"))),
        user=user,
        model_version=_version(values, metadata, response) if answered else None,
        response=response_text(response) if answered else None,
    )


def _shown(values: dict[str, Any]) -> str:
    """The request; a row's other columns are numbers and names."""
    return fields.shown(values.get("request") or "(no request)")


def _map(value: Any) -> dict[str, Any]:
    """A map column, which Arrow gives as pairs; or the same as JSON text."""
    if isinstance(value, list):
        return dict(pair for pair in value if isinstance(pair, tuple))
    return mapping(value)


def _version(values: dict[str, Any], metadata: dict[str, Any], response: dict[str, Any]) -> str | None:
    name, version = metadata.get("model_name"), metadata.get("model_version")
    registered = f"{name}@{version}" if name and version else None
    return (
        text_or_none(response.get("model")) or text_or_none(registered) or text_or_none(values.get("served_entity_id"))
    )
