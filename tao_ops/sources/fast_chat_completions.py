"""Many lines of chat completions at once: Arrow's JSON parser for what is plain, one by one for all else.

A day of a busy service is millions of lines, nearly all alike. Arrow decodes a block of them some ten times faster
than Python does, but it knows neither line numbers nor reasons, and takes shapes that are not ours. So a block counts
as read only where nothing about it is unusual; of any other, each half is tried again, and what is left in the end is
read line by line by :mod:`chat_completions`, which alone decides what a line means. Both ways give the same rows.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from tao_ops.sources.fields import DOWN, UP
from tao_ops.sources.json_lines import Block, Parse, ParseBlock, by_line, decoded
from tao_ops.sources.records import LOGGED, Batch, BrokenLine, LoggedQuery, record_batch

_TEXT = pa.string()
_CALLS = [("tool_calls", pa.list_(pa.struct([("id", _TEXT)]))), ("function_call", pa.struct([("name", _TEXT)]))]


def _options(*calls: tuple[str, pa.DataType]) -> pj.ParseOptions:
    request = [
        ("model", _TEXT),
        ("user", _TEXT),
        ("safety_identifier", _TEXT),
        ("messages", pa.list_(pa.struct([("role", _TEXT), ("content", _TEXT), *calls]))),
        ("metadata", pa.struct([("task", _TEXT)])),
    ]
    choices = pa.list_(pa.struct([("message", pa.struct([("content", _TEXT)]))]))
    line = [
        ("request_id", _TEXT),
        ("received_at", _TEXT),
        ("route", _TEXT),
        ("tags", pa.list_(_TEXT)),
        ("request", pa.struct(request)),
        ("response", pa.struct([("model", _TEXT), ("choices", choices)])),
        ("feedback", _TEXT),
        ("corrected", _TEXT),
    ]
    return pj.ParseOptions(pa.schema(line), newlines_in_values=False, unexpected_field_behavior="ignore")


_OPTIONS, _OPTIONS_WITH_CALLS = _options(), _options(*_CALLS)
"""Columns that are seldom there cost time all the same."""

_TIME = r"^[12]\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-](0\d|1[0-4]):[0-5]\d)$"
_SOMETHING = r"[\pL\pN\pP\pS]"
_BREAK, _RETURN, _OPEN, _CLOSE = b"\n\r{}"
_FEW = 64
"""Lines below which it is not worth while to try again."""

_Mask = npt.NDArray[np.bool_]


def block_parser(parse: Parse) -> ParseBlock:
    """Reads a block as ``parse`` would read each of its lines."""

    def parse_block(block: Block) -> Batch:
        parts = list(_parts(block, parse))
        if len(parts) == 1:
            return parts[0]
        queries = pa.concat_batches([part.queries for part in parts])
        return Batch(block.file, queries, [line for part in parts for line in part.broken])

    return parse_block


def _parts(block: Block, parse: Parse) -> Iterator[Batch]:
    batch = _decode(block)
    columns = None if batch is None else _columns(batch)
    if columns is not None:
        yield _plain(block, columns, parse)
        return
    if block.count <= _FEW:
        yield by_line(block, parse)
        return
    middle = block.data.find(b"\n", len(block.data) // 2) + 1
    if not 0 < middle < len(block.data):
        middle = block.data.rfind(b"\n", 0, len(block.data) // 2) + 1
    if not middle:
        yield by_line(block, parse)
        return
    first = Block(block.file, block.first_line, block.data[:middle])
    yield from _parts(first, parse)
    yield from _parts(Block(block.file, block.first_line + first.count, block.data[middle:]), parse)


def _decode(block: Block) -> pa.RecordBatch | None:
    """The block as columns, or None where Arrow and a reader of single lines might differ.

    They differ on ``Inf`` alone, as a number in a field that is not read: Arrow takes it, though JSON has none.
    """
    data = block.data
    if not _one_object_a_line(data):
        return None
    try:
        if not data.isascii():
            data.decode("utf-8")
        batch = _read(data, _OPTIONS)
        if _may_hold_calls(batch) and b"_call" in data:
            batch = _read(data, _OPTIONS_WITH_CALLS)
    except (UnicodeDecodeError, pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
    return batch if len(batch) == block.count else None  # two objects on a line


def _read(data: bytes, options: pj.ParseOptions) -> pa.RecordBatch:
    table = pj.read_json(pa.BufferReader(data), pj.ReadOptions(use_threads=False, block_size=len(data) + 1), options)
    return table.combine_chunks().to_batches()[0]


def _one_object_a_line(data: bytes) -> bool:
    """Whether each line begins and ends as an object does: none is blank, none goes on in the next."""
    if not data.startswith(b"{") or not data.endswith((b"}\n", b"}\r\n")):
        return False
    characters = np.frombuffer(data, np.uint8)
    breaks = np.flatnonzero(characters == _BREAK)
    ends = characters[breaks - 1]
    if (ends == _RETURN).any():
        ends = np.where(ends == _RETURN, characters[breaks - 2], ends)
    return bool((ends == _CLOSE).all() and (characters[breaks[:-1] + 1] == _OPEN).all())


def _may_hold_calls(batch: pa.RecordBatch) -> bool:
    """Tools are called in the assistant's messages alone, and most conversations have none yet."""
    messages = pc.struct_field(batch.column("request"), ["messages"]).flatten()
    return bool(_among(pc.struct_field(messages, ["role"]), "assistant").any())


def _columns(batch: pa.RecordBatch) -> tuple[_Mask, dict[str, pa.Array]] | None:
    """Which rows are plain, and their columns; None where the times do not parse as a whole."""
    request, response = batch.column("request"), batch.column("response")
    timely = pc.fill_null(pc.match_substring_regex(batch.column("received_at"), _TIME), False)
    try:
        times = pc.cast(pc.if_else(timely, batch.column("received_at"), None), LOGGED.field("received_at").type)
    except pa.ArrowInvalid:
        return None
    texts = ("request_id", "route", "tags", "request", "response", "feedback", "corrected")
    if any(_holds_nul(batch.column(name)) for name in texts):
        return None
    good = _mask(timely)
    tags = _tags(batch.column("tags"), good)
    messages, system = _conversations(pc.struct_field(request, ["messages"]), good)
    keep = pa.array(good)

    def of(array: pa.Array) -> pa.Array:
        """A text that may be missing; an empty one counts as none."""
        return pc.filter(pc.if_else(pc.equal(array, ""), None, array), keep)

    user, identifier = pc.struct_field(request, ["user"]), pc.struct_field(request, ["safety_identifier"])
    return good, {
        "request_id": of(batch.column("request_id")),
        "received_at": pc.filter(times, keep),
        "messages": messages,
        "system": system,
        "task": of(pc.struct_field(request, ["metadata", "task"])),
        "model": of(pc.struct_field(request, ["model"])),
        "route": of(batch.column("route")),
        "tags": pc.filter(tags, keep),
        "user": pc.coalesce(of(user), of(identifier)),
        "model_version": of(pc.struct_field(response, ["model"])),
        "response": pc.filter(_first_answer(pc.struct_field(response, ["choices"])), keep),
        "feedback": _feedback(pc.filter(batch.column("feedback"), keep)),
        "corrected": of(batch.column("corrected")),
    }


def _plain(block: Block, columns: tuple[_Mask, dict[str, pa.Array]], parse: Parse) -> Batch:
    good, arrays = columns
    numbers = np.arange(block.first_line, block.first_line + len(good))
    prefix = pa.scalar(f"{block.file}:")
    arrays["position"] = pc.binary_join_element_wise(prefix, pc.cast(pa.array(numbers[good]), _TEXT), "")
    queries = pa.RecordBatch.from_arrays([arrays[name] for name in LOGGED.names], schema=LOGGED)
    if good.all():
        return Batch(block.file, queries)
    lines = block.data.split(b"\n")
    found: list[LoggedQuery] = []
    at: list[int] = []
    broken: list[BrokenLine] = []
    for index in np.flatnonzero(~good):
        for one in decoded(lines[index], f"{block.file}:{numbers[index]}", parse):
            if isinstance(one, LoggedQuery):
                found.append(one)
                at.append(int(numbers[index]))
            else:
                broken.append(one)
    if found:
        order = np.argsort(np.concatenate([numbers[good], at]), kind="stable")
        queries = pa.concat_batches([queries, record_batch(found)]).take(pa.array(order))
    return Batch(block.file, queries, broken)


def _conversations(messages: pa.ListArray, good: _Mask) -> tuple[pa.ListArray, pa.Array]:
    """The conversation and the system message of each good row; a row that is not plain is marked as not good."""
    row_of = _rows(messages, len(good))
    said = messages.flatten()
    role, content = pc.struct_field(said, ["role"]), pc.struct_field(said, ["content"])
    odd = _mask(pc.or_(pc.is_null(role), pc.is_null(content))) | ~_among(
        role, "user", "assistant", "system", "developer"
    )
    if "tool_calls" in said.type.names:
        calls = pc.fill_null(pc.list_value_length(pc.struct_field(said, ["tool_calls"])), 0)
        odd |= _mask(pc.greater(calls, 0)) | _mask(pc.is_valid(pc.struct_field(said, ["function_call"])))
    good[row_of[odd]] = False
    systems, users = np.flatnonzero(_among(role, "system", "developer")), np.flatnonzero(_among(role, "user"))
    good &= np.bincount(row_of[systems], minlength=len(good)) <= 1
    last = np.full(len(good), -1)
    last[row_of[users]] = users  # of several, the last stays
    good &= last >= 0
    asked = content.take(pa.array(last[good]))
    good[np.flatnonzero(good)[~_mask(pc.match_substring_regex(asked, _SOMETHING))]] = False
    keep = good[row_of] & (np.arange(len(row_of)) <= last[row_of])
    keep[systems] = False
    lengths = np.bincount(row_of[keep], minlength=len(good))[good]
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
    kept = pa.array(np.flatnonzero(keep))
    values = pa.StructArray.from_arrays([role.take(kept), content.take(kept)], ["role", "content"])
    system = np.full(len(good), -1)
    system[row_of[systems]] = systems
    return pa.ListArray.from_arrays(offsets, values), _take(content, system[good])


def _tags(tags: pa.ListArray, good: _Mask) -> pa.ListArray:
    """Tags without nulls; rows with an empty one, or a null, are left to the reader of single lines."""
    values = tags.flatten()
    good[_rows(tags, len(good))[_mask(pc.fill_null(pc.equal(values, ""), True))]] = False
    lengths = pc.fill_null(pc.list_value_length(tags), 0).to_numpy(zero_copy_only=False)
    return pa.ListArray.from_arrays(pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32()), values)


def _first_answer(choices: pa.ListArray) -> pa.Array:
    lengths = pc.fill_null(pc.list_value_length(choices), 0).to_numpy(zero_copy_only=False)
    first = np.where(lengths > 0, np.cumsum(lengths) - lengths, -1)
    return _take(pc.struct_field(choices.flatten(), ["message", "content"]), first)


def _feedback(words: pa.Array) -> pa.Array:
    """``up``, ``down`` or null, as :func:`fields.feedback` reads a word."""
    lower = pc.utf8_lower(words)
    up, down = _among(lower, *UP), _among(lower, *DOWN)
    return pc.if_else(pa.array(up), "up", pc.if_else(pa.array(down), "down", pa.scalar(None, _TEXT)))


def _holds_nul(array: pa.Array) -> bool:
    """Whether a text of the column, at any depth, holds the character NUL."""
    if pa.types.is_struct(array.type):
        return any(_holds_nul(array.field(i)) for i in range(array.type.num_fields))
    if pa.types.is_list(array.type):
        return _holds_nul(array.values)
    _, offsets, data = array.buffers()
    if data is None or not len(array):
        return False
    end = int(np.frombuffer(offsets, np.int32)[array.offset + len(array)])
    return not np.frombuffer(data, np.uint8)[:end].all()


def _rows(lists: pa.ListArray, rows: int) -> npt.NDArray[np.int64]:
    """The row of each value of :meth:`ListArray.flatten`."""
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    return np.repeat(np.arange(rows), lengths)


def _take(values: pa.Array, indices: npt.NDArray[np.int64]) -> pa.Array:
    """Values at ``indices``; null where one is negative."""
    return values.take(pa.array(indices, mask=indices < 0))


def _among(values: pa.Array, *words: str) -> _Mask:
    return _mask(pc.is_in(values, pa.array(words)))


def _mask(array: pa.Array) -> _Mask:
    return np.asarray(array.to_numpy(zero_copy_only=False), dtype=bool)
