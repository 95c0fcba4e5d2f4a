"""From logged queries to rows of ``queries``: which task, whose, said before or not, redacted, hashed."""

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tao_ops.config import Flywheel, PrivacyConfig
from tao_ops.privacy import Redactor, keyed_hash, keyed_hashes
from tao_ops.sources.records import hash_of
from tao_ops.tables import QUERIES

MAX_TEXT = 1 << 20
"""Bytes of a conversation or a response: a quarter of a million tokens, and what redaction has time for."""

_USERS_KEPT = 1 << 18
"""Users whose hashes are remembered: most come again."""

_NAMES_USER = re.compile(
    r"""(?ix)
    (["']?(?:user|end_?user|user_?id|safety_identifier|enduser\.id|requester)["']?\s*[:=]\s*)
        (?:"[^"]*"?|'[^']*'?|[^"',}\s]+)
    | ("key"\s*:\s*"(?:user\.id|enduser\.id|[a-z_.]*\buser)"\s*,\s*"value"\s*:\s*\{\s*"[a-zA-Z]+"\s*:\s*)
        (?:"[^"]*"?|[^,}\s]+)
    """
)
"""Where a line that cannot be decoded names its user, in the words of the formats that are read."""

_Mask = npt.NDArray[np.bool_]
COLUMNS = [name for name in QUERIES.schema.names if name not in ("flywheel", "turn", "run_id")]


@dataclass
class Intake:
    """Makes rows of ``queries``, and counts what it replaced.

    Args:
        key: of the hashes.
    """

    flywheel: Flywheel
    key: bytes
    users: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._hashes: dict[str, str] = {}
        tasks = self.flywheel.tasks
        self._redactors = {name: Redactor(task.privacy) for name, task in tasks.items()}

    def rows(self, queries: pa.RecordBatch, tasks: pa.Array, event_turns: pa.Array, source: str) -> pa.RecordBatch:
        """Logged queries, each with its task, as rows of ``queries`` without the columns that all share."""
        parts = []
        for task, redactor in self._redactors.items():
            mine = pc.equal(tasks, task)
            if pc.any(mine).as_py():
                parts.append(self._task(queries.filter(mine), task, redactor, event_turns.filter(mine), source))
        empty = pa.RecordBatch.from_pylist([], schema=pa.schema([QUERIES.schema.field(name) for name in COLUMNS]))
        return pa.concat_batches(parts) if parts else empty

    def user_hash(self, user: str) -> str:
        """What is stored instead of a user's name; of one whose hash was logged, that."""
        return hash_of(user) or keyed_hash(self.key, "user", user)

    @cached_property
    def _excerpts(self) -> Redactor:
        """Finds all kinds, whatever a task says; made for the first broken line."""
        regions = {region for task in self.flywheel.tasks.values() for region in task.privacy.regions}
        return Redactor(PrivacyConfig(regions=tuple(sorted(regions))))

    def excerpt(self, text: str, length: int, user: str | None = None) -> str:
        """The beginning of a broken line, without anything personal, whatever its task allows, nor its user's name."""
        # Cut last: a cut in the middle of an address would hide it from the redactor.
        clean = self._excerpts.redact(text)
        if user:
            clean = re.sub(rf"(?<!\w){re.escape(user)}(?!\w)", "<USER>", clean)
        return _NAMES_USER.sub(lambda found: f"{found[1] or found[2]}<USER>", clean)[:length]

    def _task(
        self, queries: pa.RecordBatch, task: str, redactor: Redactor, event_turns: pa.Array, source: str
    ) -> pa.RecordBatch:
        messages, responses, corrected = self._redact(queries, redactor)
        size = len(queries)
        columns = {
            "query_id": keyed_hashes(self.key, ("query", task), conversations(messages)),
            "request_id": queries.column("request_id"),
            "source": pa.repeat(pa.scalar(source), size),
            "event_turn": event_turns,
            "task": pa.repeat(pa.scalar(task), size),
            "received_at": queries.column("received_at"),
            "messages": messages,
            "model_version": queries.column("model_version"),
            "response": responses,
            "feedback": queries.column("feedback"),
            "corrected": corrected,
            "user_hash": self._users(queries.column("user")),
            "redactor_version": pa.repeat(pa.scalar(redactor.version), size),
        }
        return pa.RecordBatch.from_pydict(columns)

    def _users(self, users: pa.Array) -> pa.Array:
        encoded = pc.dictionary_encode(users)
        named = encoded.dictionary.to_pylist()
        hashes = self._hashes
        if len(hashes) > _USERS_KEPT:
            hashes.clear()
        logged = {user: digest for user in named if (digest := hash_of(user))}
        fresh = [user for user in named if user not in hashes and user not in logged]
        new = keyed_hashes(self.key, ("user",), pa.array(fresh, pa.string())).to_pylist()
        hashes.update(logged | dict(zip(fresh, new, strict=True)))
        self.users.update(int(one[:16], 16) for one in (*logged.values(), *new))
        return pa.array([hashes[user] for user in named], pa.string()).take(encoded.indices)

    def _redact(self, queries: pa.RecordBatch, redactor: Redactor) -> tuple[pa.ListArray, pa.Array, pa.Array]:
        """Messages, responses and corrected answers without what is personal.

        Of one query the same value has the same placeholder in all of them.
        """
        messages = nfc(queries.column("messages"))
        answers = [_composed(queries.column(name)) for name in ("response", "corrected")]
        contents = pc.struct_field(messages.values, ["content"])
        marked = [np.flatnonzero(_mask(redactor.maybe(texts))) for texts in answers]
        suspects = np.unique(np.concatenate([row_numbers(messages)[_mask(redactor.maybe(contents))], *marked]))
        if not len(suspects):
            return messages, answers[0], answers[1]
        offsets = messages.offsets.to_numpy()
        replaced: dict[int, str] = {}
        new: list[dict[int, str]] = [{}, {}]
        for row in suspects.tolist():
            places = range(offsets[row], offsets[row + 1])
            there = [number for number, texts in enumerate(answers) if texts[row].is_valid]
            texts = [contents[place].as_py() for place in places] + [answers[n][row].as_py() for n in there]
            clean = redactor.together(texts)
            replaced.update(zip(places, clean, strict=False))
            for number, text in zip(there, clean[len(places) :], strict=True):
                new[number][row] = text
        roles = pc.struct_field(messages.values, ["role"])
        values = pa.StructArray.from_arrays([roles, _replace(contents, replaced)], ["role", "content"])
        whole = pa.ListArray.from_arrays(messages.offsets, values)
        return whole, _replace(answers[0], new[0]), _replace(answers[1], new[1])

    def counts(self) -> dict[str, int]:
        """Values that were replaced, by their kind."""
        total: Counter[str] = Counter()
        for redactor in self._redactors.values():
            total.update(redactor.counts)
        return dict(sorted(total.items()))


def too_long(queries: pa.RecordBatch) -> pa.BooleanArray | None:
    """Which conversations, responses or corrected answers are longer than :data:`MAX_TEXT`; None where no one is."""
    if queries.nbytes <= MAX_TEXT:
        return None
    said = queries.column("messages").flatten()
    longest = pc.max(pc.binary_length(pc.struct_field(said, ["content"]))).as_py() or 0
    answers = [queries.column(name) for name in ("response", "corrected")]
    answer = max(pc.max(pc.binary_length(texts)).as_py() or 0 for texts in answers)
    many = pc.max(pc.list_value_length(queries.column("messages"))).as_py() or 0
    if many * longest <= MAX_TEXT // 2 and answer <= MAX_TEXT:
        return None  # the usual case, without making the conversations
    long = pa.array(np.zeros(len(queries), bool))
    for texts in (conversations(queries.column("messages")), *answers):
        long = pc.or_(long, pc.fill_null(pc.greater(pc.binary_length(texts), MAX_TEXT), False))
    return long if pc.any(long).as_py() else None


def identified(queries: pa.RecordBatch, key: bytes) -> pa.RecordBatch:
    """With a request id each: one that has none is told from others by its time, its user and what was said."""
    ids = queries.column("request_id")
    if not ids.null_count:
        return queries
    lacking = queries.filter(pc.is_null(ids))
    said = conversations(lacking.column("messages")).to_pylist()
    times, users = lacking.column("received_at").to_pylist(), lacking.column("user").to_pylist()
    made = [
        keyed_hash(key, "request", at.isoformat(), user or "", text)
        for at, user, text in zip(times, users, said, strict=True)
    ]
    whole = pc.replace_with_mask(ids, pc.is_null(ids), pa.array(made, pa.string()))
    return queries.set_column(queries.schema.get_field_index("request_id"), "request_id", whole)


def identities(sources: pa.Array, request_ids: pa.Array) -> list[bytes]:
    """What tells queries from one another: the namespace of their source and their request id."""
    ids: list[bytes] = pc.cast(pc.binary_join_element_wise(sources, request_ids, "\x1f"), pa.binary()).to_pylist()
    return ids


def nfc(messages: pa.ListArray) -> pa.ListArray:
    """Messages in Unicode NFC, without a hidden start."""
    values = messages.flatten()
    content = _composed(pc.struct_field(values, ["content"]))
    both = pa.StructArray.from_arrays([pc.struct_field(values, ["role"]), content], ["role", "content"])
    return pa.ListArray.from_arrays(_offsets(messages), both)


def _composed(texts: pa.Array) -> pa.Array:
    """Texts in Unicode NFC. By Python: Arrow's own function (25.0) gives the decomposed form by that name."""
    others = pc.fill_null(pc.invert(pc.string_is_ascii(texts)), False)
    said = zip(pc.indices_nonzero(others).to_pylist(), texts.filter(others).to_pylist(), strict=True)
    new = {
        place: unicodedata.normalize("NFC", text) for place, text in said if not unicodedata.is_normalized("NFC", text)
    }
    return _replace(texts, new)


def conversations(messages: pa.ListArray) -> pa.Array:
    """Each conversation as one text, roles and contents kept apart by characters that no message holds."""
    values = messages.flatten()
    said = pc.binary_join_element_wise(pc.struct_field(values, ["role"]), pc.struct_field(values, ["content"]), "\x1d")
    return pc.binary_join(pa.ListArray.from_arrays(_offsets(messages), said), "\x1e")


def _offsets(messages: pa.ListArray) -> pa.Array:
    """Where each row begins among the values of :meth:`ListArray.flatten`, and where the last one ends."""
    return pa.array(np.concatenate([[0], np.cumsum(pc.list_value_length(messages).to_numpy())]), pa.int32())


def row_numbers(messages: pa.ListArray) -> npt.NDArray[np.int64]:
    """The row of each message."""
    return np.repeat(np.arange(len(messages)), pc.list_value_length(messages).to_numpy())


def _replace(texts: pa.Array, new: dict[int, str]) -> pa.Array:
    if not new:
        return texts
    at = np.array(sorted(new))
    mask = np.zeros(len(texts), bool)
    mask[at] = True
    return pc.replace_with_mask(texts, pa.array(mask), pa.array([new[place] for place in at.tolist()], pa.string()))


def _mask(array: pa.Array) -> _Mask:
    return np.asarray(pc.fill_null(array, False).to_numpy(zero_copy_only=False), bool)
