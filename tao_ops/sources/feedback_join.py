"""What users said of answers later, joined to the requests by their ids.

Feedback comes in lines of its own, minutes or days after its request, in whichever segment is written then::

    {"kind": "feedback", "request_id": "req-…", "received_at": "…", "feedback": "down", "corrected": "…"}

So all lines of feedback are read first. Texts lie in a database of the process's own that goes to the disk where it
grows; what is held in memory is a number for each.
"""

import re
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from tao_ops.sources import fields
from tao_ops.sources.records import LoggedQuery

KIND = "feedback"
_PLACEHOLDER = re.compile(r"<([A-Z]+)_([1-9][0-9]{0,8})>")
_CREATE = """create table said (
    request_id text primary key, rating text, rated_at text not null, corrected text, corrected_at text not null
) without rowid"""
_ADD = """insert into said values (?, ?, ?, ?, ?) on conflict (request_id) do update set
    rating = iif(excluded.rated_at >= rated_at, excluded.rating, rating),
    rated_at = max(excluded.rated_at, rated_at),
    corrected = iif(excluded.corrected_at >= corrected_at, excluded.corrected, corrected),
    corrected_at = max(excluded.corrected_at, corrected_at)"""


class FeedbackJoin:
    """Feedback by request id; of several on one request the last rating counts, and the last correction.

    Attributes:
        counts: ``unreadable`` lines; corrections that are ``unclear`` (see :meth:`of`).
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._waiting: set[int] = set()
        self._known: set[int] = set()
        self._said = sqlite3.connect("", isolation_level=None)
        self._said.execute("pragma journal_mode = off")
        self._said.execute(_CREATE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._said.close()

    def add(self, record: Any) -> None:
        """Take a decoded line; one that is no feedback is counted."""
        told = record if isinstance(record, dict) else {}
        request_id, at = fields.text_or_none(told.get("request_id")), fields.iso_time(told.get("received_at"))
        rating, corrected = fields.feedback(told.get("feedback")), fields.text_or_none(told.get("corrected"))
        if told.get("kind") != KIND or request_id is None or at is None or (rating is None and corrected is None):
            self.counts["unreadable"] += 1
            return
        when = at.isoformat(timespec="microseconds")
        self._said.execute(_ADD, (request_id, rating, when if rating else "", corrected, when if corrected else ""))
        self._known.add(hash(request_id))
        self._waiting.add(hash(request_id))

    def of(self, query: LoggedQuery) -> LoggedQuery:
        """The query with what was said of its answer.

        A correction was redacted by itself. Where its placeholders could mean another value than the same ones of the
        conversation do, it says nothing sure: it is left out and counted, and its rating stays.
        """
        if query.request_id is None or hash(query.request_id) not in self._known:
            return query
        self._waiting.discard(hash(query.request_id))
        found = self._said.execute("select rating, corrected from said where request_id = ?", (query.request_id,))
        rating, corrected = found.fetchone() or (None, None)
        if corrected is not None and not _clear(corrected, _texts(query)):
            self.counts["unclear"] += 1
            corrected = None
        return replace(query, feedback=rating, corrected=corrected)

    def sentences(self) -> list[str]:
        """What is left over, to be logged once all requests were joined."""
        found = []
        if self._waiting:
            found.append(
                f"feedback: {len(self._waiting)} answers that users judged are in none of the segments that were read: "
                "left out by a header or by sampling, or of a turn longer ago, which takes them when it runs again"
            )
        if self.counts["unclear"]:
            found.append(
                f"feedback: {self.counts['unclear']} corrected answers left out: they hold personal values, and "
                "nothing says which of the conversation's they are"
            )
        if self.counts["unreadable"]:
            found.append(f"feedback: {self.counts['unreadable']} lines are none")
        return found


def _texts(query: LoggedQuery) -> list[str]:
    return [*(message["content"] for message in query.messages), query.response or ""]


def _clear(corrected: str, texts: Iterable[str]) -> bool:
    """Whether a text's placeholders mean what the same ones of the conversation do: of each kind there is only one.

    >>> _clear("To <EMAIL_1>", ["I am <EMAIL_1>"]), _clear("To <EMAIL_1>", ["<EMAIL_1>, <EMAIL_2>"])
    (True, False)
    """
    named: defaultdict[str, set[str]] = defaultdict(set)
    for text in texts:
        for kind, number in _PLACEHOLDER.findall(text):
            named[kind].add(number)
    return all(named[kind] | {number} == {"1"} for kind, number in _PLACEHOLDER.findall(corrected))
