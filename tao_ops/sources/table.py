"""Parquet files and Delta tables whose columns the flywheel's YAML names.

``sources.columns`` says which column holds which field; others are not read. Delta tables are read at their newest
version, through the Delta library's own engine (Delta Lake protocol; deletions are honoured).

================= =====================================================================================
field             what its column may hold
================= =====================================================================================
``request_id``    text, or a whole number
``received_at``   a timestamp with a zone; text, ISO 8601 with a zone; a number of seconds since 1970, or of their
                  thousandth, millionth or billionth parts where it is 1e11, 1e14 or 1e17 at least
``messages``      a list of structs with ``role`` and ``content``, or the same, or a request's body, as JSON text
``text``          text: the single message of a user
``system``        text; before it, where there are such, the system messages of ``messages``
``task``          text
``model``         text
``route``         text
``tags``          a list of texts, or one as JSON text, or a single tag
``user``          text, or a whole number
``model_version`` text
``response``      text, or a response's body as JSON text
``feedback``      text, a truth value or a whole number: ``up``, true, 1; ``down``, false, 0, -1
``corrected``     text
================= =====================================================================================

Where both are named, ``text`` stands in where ``messages`` is null.
"""

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from tao_ops.config import SourceConfig
from tao_ops.errors import DataError
from tao_ops.sources import fields
from tao_ops.sources.columnar import Columns, Row, is_text, scan
from tao_ops.sources.fields import text_or_none
from tao_ops.sources.payloads import request_messages, response_text, words
from tao_ops.sources.records import Batch, BrokenLine, LoggedQuery, Window, batches
from tao_ops.tables import Reason

_IDS = ("request_id", "user")
"""Fields whose column may hold whole numbers."""


def read(source: SourceConfig, path: str, window: Window) -> Iterator[Batch]:
    """The rows of the files that ``path`` matches, or of the Delta table that it names, in batches by file.

    Rows outside the window are left out; one whose time cannot be read is broken.

    Raises:
        DataError: nothing matches, a file cannot be read, a column is missing, or holds another type.
    """

    def choose(file: str, schema: pa.Schema) -> Columns:
        for field, column in source.columns.items():
            _check(file, schema, field, column)
        return Columns(source.columns["received_at"], tuple(source.columns.values()))

    for file, rows in scan(path, choose, window, source.connection):
        yield from batches(file, (_query(row, source) for row in rows))


def _check(file: str, schema: pa.Schema, field: str, column: str) -> None:
    there = ", ".join(schema.names)
    if schema.get_field_index(column) < 0:
        raise DataError(
            f"there is no column '{column}'; there are: {there}",
            where=file,
            mend=f"mend 'columns.{field}' of the source",
        )
    kind = schema.field(column).type
    if field == "received_at":
        return  # columnar says what a time may be
    good = is_text(kind) or pa.types.is_null(kind)
    good |= field in (*_IDS, "feedback") and pa.types.is_integer(kind)
    good |= field == "feedback" and pa.types.is_boolean(kind)
    if _is_list(kind):
        good |= field == "tags" and is_text(kind.value_type)
        good |= field == "messages" and _is_message(kind.value_type)
    if not good:
        raise DataError(
            f"'{column}' holds {kind}, which is no '{field}'",
            where=file,
            mend=f"name another column in 'columns.{field}'; there are: {there}",
        )


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _is_message(kind: pa.DataType) -> bool:
    return bool(pa.types.is_struct(kind) and {"role", "content"} <= {field.name for field in kind.fields})


def _query(row: Row, source: SourceConfig) -> LoggedQuery | BrokenLine:
    if row.values is None:
        return BrokenLine(row.position, Reason.NOT_TEXT, "a text that is not UTF-8", row.received_at)
    found: dict[str, Any] = {field: row.values.get(column) for field, column in source.columns.items()}
    user = _id(found.get("user"))
    if row.received_at is None:
        return BrokenLine(row.position, Reason.NO_TIME, _shown(row.values), user=user)
    said = fields.conversation(_messages(found), source.non_text)
    if isinstance(said, Reason):
        return BrokenLine(row.position, said, _shown(row.values), row.received_at, user)
    system = [text for text in (text_or_none(found.get("system")), said.system) if text]
    return LoggedQuery(
        position=row.position,
        request_id=_id(found.get("request_id")),
        received_at=row.received_at,
        messages=said.messages,
        system="\n\n".join(system) or None,
        task=text_or_none(found.get("task")),
        model=text_or_none(found.get("model")),
        route=text_or_none(found.get("route")),
        tags=words(found.get("tags")),
        user=user,
        model_version=text_or_none(found.get("model_version")),
        response=response_text(found.get("response")),
        feedback=fields.feedback(found.get("feedback")),
        corrected=text_or_none(found.get("corrected")),
    )


def _messages(found: dict[str, Any]) -> Any:
    if found.get("messages") is not None:
        return request_messages(found["messages"])
    return [{"role": "user", "content": found.get("text") or ""}]


def _shown(values: dict[str, Any]) -> str:
    """A row for the excerpt; a struct may hold what JSON has no word for."""
    return fields.readable(json.dumps(values, ensure_ascii=False, default=str))


def _id(value: Any) -> str | None:
    return str(value) if isinstance(value, int) else text_or_none(value)
