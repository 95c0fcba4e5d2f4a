"""The lake's tables: their columns, and which columns a write replaces."""

from dataclasses import dataclass
from enum import StrEnum

import pyarrow as pa

SCHEMA_VERSION = 6
"""Raised when a column changes; kept in each table's metadata."""

_UTC = pa.timestamp("us", tz="UTC")
_MESSAGES = pa.list_(pa.struct([pa.field("role", pa.string()), pa.field("content", pa.string())]))
_ROW = [pa.field("flywheel", pa.string()), pa.field("turn", pa.string()), pa.field("run_id", pa.string())]


@dataclass(frozen=True)
class Table:
    """A table of the lake.

    Attributes:
        name: folder below the lake's root.
        schema: all columns, ``flywheel``, ``turn`` and ``run_id`` first.
        partition: columns that a write replaces whole.
        key: columns that no two rows of a partition share.
    """

    name: str
    schema: pa.Schema
    partition: tuple[str, ...]
    key: tuple[str, ...]


def _table(name: str, key: tuple[str, ...], columns: dict[str, pa.DataType], partition: tuple[str, ...] = ()) -> Table:
    fields = [pa.field(column, kind) for column, kind in columns.items()]
    return Table(name, pa.schema(_ROW + fields), ("flywheel", "turn", *partition), key)


class Reason(StrEnum):
    """Why a row is in quarantine."""

    NOT_TEXT = "not_text"
    """The line is not UTF-8, or holds what no text holds: half a character, a NUL."""
    NOT_JSON = "not_json"
    """The line is not a JSON object, or is nested too deep."""
    TORN = "torn"
    """The last line of a captured segment that broke off: its server was killed, or the power went."""
    TOO_LONG = "too_long"
    """The line or row is longer than any conversation."""
    DAMAGED_FILE = "damaged_file"
    """A compressed file is damaged, cut, or swells beyond measure; what came before that place was taken."""
    WRONG_SHAPE = "wrong_shape"
    """A record is not of its format: a key is missing, or holds another kind of value."""
    NO_TIME = "no_time"
    """The line has no time, or one without a zone."""
    IN_THE_FUTURE = "in_the_future"
    """The line's time had not come yet when it was read."""
    NO_MESSAGES = "no_messages"
    """The line has no user message that is text."""
    NON_TEXT_CONTENT = "non_text_content"
    """A message holds an image, audio, a file or a tool call, and the source says ``non_text: quarantine``."""
    UNKNOWN_TASK = "unknown_task"
    """The line names a task that the flywheel does not have."""
    REUSED_REQUEST_ID = "reused_request_id"
    """The same request id came before in the same namespace, with another conversation."""
    EXPECTATION = "expectation"
    """A row expectation failed; the excerpt begins with its name."""
    BENCHMARK_ITEM = "benchmark_item"
    """The message is an item of a benchmark, or nearly one."""
    HOLDOUT_MATCH = "holdout_match"
    """The message is near the holdout and near training prompts at once: it would join what must stay apart."""
    TOO_LONG_FOR_CONTEXT = "too_long_for_context"
    """Production prompt, conversation and the longest response do not fit into ``engine.context`` together."""


QUERIES = _table(
    "queries",
    ("source", "request_id"),
    {
        "query_id": pa.string(),
        "request_id": pa.string(),
        "source": pa.string(),
        "event_turn": pa.string(),
        "task": pa.string(),
        "received_at": _UTC,
        "messages": _MESSAGES,
        "model_version": pa.string(),
        "response": pa.string(),
        "feedback": pa.string(),
        "corrected": pa.string(),
        "user_hash": pa.string(),
        "redactor_version": pa.string(),
    },
)
QUARANTINE = _table(
    "quarantine",
    ("source", "position", "reason"),
    {
        "stage": pa.string(),
        "source": pa.string(),
        "position": pa.string(),
        "reason": pa.string(),
        "excerpt": pa.string(),
        "user_hash": pa.string(),
    },
    ("stage",),
)
PROMPTS = _table(
    "prompts",
    ("query_id",),
    {
        "query_id": pa.string(),
        "task": pa.string(),
        "messages": _MESSAGES,
        "count": pa.int64(),
        "cluster": pa.string(),
        "split": pa.string(),
    },
)
CLUSTERS = _table(
    "clusters",
    ("task", "query_id"),
    {
        "task": pa.string(),
        "query_id": pa.string(),
        "cluster": pa.string(),
        "split": pa.string(),
        "signature": pa.binary(),
    },
)
"""Every text that ever was a prompt, by the turn that saw it first: which cluster and split it is in, for ever."""
RESPONSES = _table(
    "responses",
    ("response_id",),
    {
        "shard": pa.int32(),
        "response_id": pa.string(),
        "query_id": pa.string(),
        "strategy": pa.string(),
        "strategy_version": pa.string(),
        "sample": pa.int32(),
        "round": pa.int32(),
        "temperature": pa.float32(),
        "text": pa.string(),
        "answer": pa.string(),
        "token_ids": pa.list_(pa.int32()),
        "logprobs": pa.list_(pa.float32()),
        "finish_reason": pa.string(),
        "tokens": pa.int32(),
        "model_version": pa.string(),
    },
    ("shard",),
)
REWARDS = _table(
    "rewards",
    ("response_id",),
    {
        "shard": pa.int32(),
        "response_id": pa.string(),
        "query_id": pa.string(),
        "scores": pa.map_(pa.string(), pa.float64()),
        "undecided": pa.map_(pa.string(), pa.string()),
        "reward": pa.float64(),
        "flags": pa.list_(pa.string()),
        "calibrator_version": pa.string(),
    },
    ("shard",),
)
EVALUATIONS = _table(
    "evaluations",
    ("arm", "benchmark", "item_id"),
    {
        "model_version": pa.string(),
        "arm": pa.string(),
        "prompt_digest": pa.string(),
        "decoding_digest": pa.string(),
        "engine": pa.string(),
        "benchmark": pa.string(),
        "benchmark_version": pa.string(),
        "item_id": pa.string(),
        "score": pa.float64(),
        "output": pa.string(),
        "tokens": pa.int32(),
        "flags": pa.list_(pa.string()),
        "reward": pa.float64(),
    },
)
TURNS = _table(
    "turns",
    ("stage", "shard"),
    {
        "stage": pa.string(),
        "shard": pa.int32(),
        "status": pa.string(),
        "inputs": pa.map_(pa.string(), pa.int64()),
        "output_version": pa.int64(),
        "rows_in": pa.int64(),
        "rows_out": pa.int64(),
        "config_digest": pa.string(),
        "code_version": pa.string(),
        "seconds": pa.float64(),
        "tokens": pa.int64(),
        "metrics": pa.string(),
        "finished_at": _UTC,
    },
    ("stage", "shard"),
)

TABLES = {t.name: t for t in (QUERIES, QUARANTINE, PROMPTS, CLUSTERS, RESPONSES, REWARDS, EVALUATIONS, TURNS)}
"""The tables that turns write."""

ERASURES = Table(
    "erasures",
    pa.schema(
        [
            pa.field("flywheel", pa.string()),
            pa.field("user_hash", pa.string()),
            pa.field("query_id", pa.string()),
            pa.field("erased_at", _UTC),
            pa.field("models", pa.list_(pa.string())),
        ]
    ),
    ("flywheel",),
    ("flywheel", "user_hash", "query_id", "erased_at"),
)
"""What was erased, of no turn and only added to: a person (``user_hash`` alone), a query (``query_id`` alone), or for
a while, with both, a query of an erased person; ``models`` are the candidates that were trained on such rows."""
