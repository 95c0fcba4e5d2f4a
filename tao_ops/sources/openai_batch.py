"""Output files of OpenAI's Batch API, joined with their input files by ``custom_id``.

A line of an output or error file is ``{"id", "custom_id", "response": {"status_code", "body"}, "error"}``, one of an
input file ``{"custom_id", "method", "url", "body"}`` (OpenAI's API reference, "Batch", "The request input object" and
"The request output object"). vLLM's ``run-batch`` writes the same.

================= =====================================================================================
field             key; *input* is the line of the input file
================= =====================================================================================
``request_id``    ``id``: a line's own, where ``custom_id`` may come again in the next batch
``received_at``   ``response.body.created`` (``created_at`` of the Responses API), seconds since 1970
``messages``      ``body.messages``, or ``body.input`` with ``body.instructions``, of the *input*
``task``          ``body.metadata.task`` of the *input*
``model``         ``body.model`` of the *input*
``route``         ``url`` of the *input*
``tags``          none
``user``          ``body.user``, else ``body.safety_identifier``, of the *input*
``model_version`` ``response.body.model``
``response``      ``response.body.choices[0].message.content``, or the text of ``response.body.output``
================= =====================================================================================

The input files that ``source.requests`` names are read once, when the first line of output comes, and are held in
memory: about as much as they are long. Where they hold two different requests under one ``custom_id``, no line of
output tells which it answers, and all its lines are refused (``wrong_shape``); two equal ones are one. A request that
failed has no time and is refused (``no_time``), as one is whose input is not there (``no_messages``). Broken lines of
the inputs are reported before the first line of output, with their own positions.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Lock
from typing import Any

from tao_ops.config import SourceConfig, expand
from tao_ops.sources import fields, json_lines
from tao_ops.sources.fields import text_or_none
from tao_ops.sources.files import find
from tao_ops.sources.json_lines import Parse
from tao_ops.sources.payloads import mapping, request_messages, response_text
from tao_ops.sources.records import BrokenLine, LoggedQuery, Window
from tao_ops.tables import Reason

_CHATS = ("/chat/completions", "/responses")
"""How the ``url`` of a request for text ends."""

_LONG_AGO = datetime(1970, 1, 2, tzinfo=UTC)
_ANY_TIME = Window(_LONG_AGO, _LONG_AGO)
"""Inputs are as old as they are: none is left out for its age."""


def reader(source: SourceConfig) -> Parse:
    """Reads one line of output; one reader serves all files of a source.

    The reader raises:
        DataError: ``source.requests`` matches no file, or one cannot be opened.
    """
    inputs = _Inputs(source.requests or "", source.connection)

    def parse(record: Any, position: str) -> Iterator[LoggedQuery | BrokenLine]:
        yield from inputs.load()
        yield _query(record, position, inputs, source.non_text)

    return parse


@dataclass
class _Inputs:
    """The requests by ``custom_id``, each as the JSON text of its line; None where there are different ones."""

    pattern: str
    connection: str | None
    requests: dict[str, str | None] = field(default_factory=dict)
    loaded: bool = False
    lock: Lock = field(default_factory=Lock)
    """Output is parsed on more than one thread."""

    def load(self) -> list[BrokenLine]:
        """Read the files, at the first call; returns their broken lines."""
        with self.lock:
            if self.loaded:
                return []
            broken: list[BrokenLine] = []
            for file in find(expand(self.pattern), _ANY_TIME, "UTC", connection=self.connection)[0]:
                for batch in json_lines.read(file, self._take):
                    broken += batch.broken
            self.loaded = True
            return broken

    def _take(self, record: Any, position: str) -> Iterable[BrokenLine]:
        custom_id = record.get("custom_id") if isinstance(record, dict) else None
        if not isinstance(custom_id, str) or not isinstance(record.get("body"), dict):
            return [BrokenLine(position, Reason.WRONG_SHAPE, fields.shown(record))]
        try:
            request = json.dumps({"url": record.get("url"), "body": record["body"]}, sort_keys=True)
        except RecursionError:
            return [BrokenLine(position, Reason.NOT_JSON, f"{custom_id!r} is nested too deep")]
        if self.requests.setdefault(custom_id, request) != request:
            self.requests[custom_id] = None
        return []


def _query(record: Any, position: str, inputs: _Inputs, non_text: fields.NonText) -> LoggedQuery | BrokenLine:
    custom_id = record.get("custom_id") if isinstance(record, dict) else None
    if not isinstance(custom_id, str):
        return BrokenLine(position, Reason.WRONG_SHAPE, fields.shown(record))
    answered = mapping(mapping(record.get("response")).get("body"))
    received_at = fields.epoch_time(answered.get("created") or answered.get("created_at"))
    found = inputs.requests.get(custom_id, "")
    if found is None:
        text = f"two different requests have the custom_id {custom_id!r}: {fields.shown(record)}"
        return BrokenLine(position, Reason.WRONG_SHAPE, text, received_at)
    request = mapping(found)
    body = mapping(request.get("body"))
    user = text_or_none(body.get("user")) or text_or_none(body.get("safety_identifier"))
    if received_at is None:
        return BrokenLine(position, Reason.NO_TIME, fields.shown(record), user=user)
    if not found:
        text = f"no request has the custom_id {custom_id!r}: {fields.shown(record)}"
        return BrokenLine(position, Reason.NO_MESSAGES, text, received_at)
    url = text_or_none(request.get("url"))
    said = fields.conversation(request_messages(body), non_text) if _is_chat(url) else Reason.NO_MESSAGES
    if isinstance(said, Reason):
        return BrokenLine(position, said, fields.shown(body), received_at, user)
    return LoggedQuery(
        position=position,
        request_id=text_or_none(record.get("id")),
        received_at=received_at,
        messages=said.messages,
        system=said.system,
        task=text_or_none(mapping(body.get("metadata")).get("task")),
        model=text_or_none(body.get("model")),
        route=url,
        user=user,
        model_version=text_or_none(answered.get("model")),
        response=response_text(answered),
    )


def _is_chat(url: str | None) -> bool:
    return url is None or url.rstrip("/").endswith(_CHATS)
