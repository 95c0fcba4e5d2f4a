"""LiteLLM's logs, as JSON: its standard logging payload, and rows of its spend log.

The payload is what the callbacks for S3, GCS, Azure, files and generic APIs write (LiteLLM's documentation,
"StandardLoggingPayload Specification"); a row is one of the table ``LiteLLM_SpendLogs`` (``schema.prisma``), as
``/spend/logs`` gives it or as it was dumped, with ``store_prompts_in_spend_logs`` on. Columns that hold JSON may be
texts.

================= =====================================================================================
field             key of the payload, or of the row
================= =====================================================================================
``request_id``    ``id``, or ``request_id``
``received_at``   ``startTime``: seconds since 1970, or ISO 8601, in UTC where it has no zone
``messages``      ``messages``, else those of ``proxy_server_request``, the body as it came in
``task``          ``task`` of ``metadata.requester_metadata``, of ``metadata.spend_logs_metadata``, or of
                  ``proxy_server_request.metadata``
``model``         ``model_group``, the name that the caller used, else ``model``
``route``         ``metadata.user_api_key_request_route``
``tags``          ``request_tags``
``user``          ``end_user``, else ``proxy_server_request.user``
``model_version`` ``response.model``, else ``model``; none for a failed call
``response``      the text of ``response``; none for a failed call
================= =====================================================================================

A failed call (``status`` is ``failure``) is a query without a response. Embeddings, images, audio and other calls that
are no chat are refused as having no messages; so are those whose text LiteLLM itself took out.
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

_CHATS = (None, "completion", "acompletion", "anthropic_messages", "responses", "aresponses")
"""Values of ``call_type``."""

_TAKEN_OUT = "redacted-by-litellm"
"""What LiteLLM writes in place of a text where ``turn_off_message_logging`` is on."""


def reader(source: SourceConfig) -> Parse:
    """Reads one payload or row."""

    def parse(record: Any, position: str) -> Iterator[LoggedQuery | BrokenLine]:
        yield _query(record, position, source.non_text)

    return parse


def _query(record: Any, position: str, non_text: fields.NonText) -> LoggedQuery | BrokenLine:
    if not isinstance(record, dict) or "startTime" not in record:
        return BrokenLine(position, Reason.WRONG_SHAPE, fields.shown(record))
    body = mapping(record.get("proxy_server_request"))
    body = mapping(body.get("body")) or body
    user = text_or_none(record.get("end_user")) or text_or_none(body.get("user"))
    received_at = fields.epoch_time(record["startTime"]) or utc_time(record["startTime"])
    if received_at is None:
        return BrokenLine(position, Reason.NO_TIME, fields.shown(record), user=user)
    said = _conversation(record, body, non_text)
    if isinstance(said, Reason):
        return BrokenLine(position, said, fields.shown(record), received_at, user)
    metadata = mapping(record.get("metadata"))
    response = None if _failed(record, metadata) else decoded(record.get("response"))
    model, text = text_or_none(record.get("model")), response_text(response)
    named = mapping(response).get("model")
    return LoggedQuery(
        position=position,
        request_id=text_or_none(record.get("id")) or text_or_none(record.get("request_id")),
        received_at=received_at,
        messages=said.messages,
        system=said.system,
        task=_task(metadata, body),
        model=text_or_none(record.get("model_group")) or model,
        route=text_or_none(metadata.get("user_api_key_request_route")),
        tags=words(record.get("request_tags")),
        user=user,
        model_version=(text_or_none(named) or model) if response else None,
        response=None if text == _TAKEN_OUT else text,
    )


def _conversation(
    record: dict[str, Any], body: dict[str, Any], non_text: fields.NonText
) -> fields.Conversation | Reason:
    if record.get("call_type") not in _CHATS:
        return Reason.NO_MESSAGES
    said = fields.conversation(request_messages(record.get("messages")) or request_messages(body), non_text)
    if isinstance(said, fields.Conversation) and said.messages[-1]["content"] == _TAKEN_OUT:
        return Reason.NO_MESSAGES
    return said


def _failed(record: dict[str, Any], metadata: dict[str, Any]) -> bool:
    return "failure" in (record.get("status"), metadata.get("status"))


def _task(metadata: dict[str, Any], body: dict[str, Any]) -> str | None:
    places = (metadata.get("requester_metadata"), metadata.get("spend_logs_metadata"), body.get("metadata"))
    return next((task for place in places if (task := text_or_none(mapping(place).get("task")))), None)
