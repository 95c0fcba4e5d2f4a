"""Which task a logged query belongs to: by the rules of its source, or by its own word."""

import fnmatch
import hashlib
import unicodedata
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tao_ops.config import SourceConfig, TaskRule

_Mask = npt.NDArray[np.bool_]


def prompt_hash(system: str) -> str:
    """SHA-256 of a system prompt in Unicode NFC, without the blanks around it: 64 hex digits."""
    return hashlib.sha256(unicodedata.normalize("NFC", system).strip().encode()).hexdigest()


def tasks_of(queries: pa.RecordBatch, source: SourceConfig, tasks: list[str]) -> tuple[pa.Array, _Mask]:
    """The task of each logged query.

    With rules, the first that holds decides, and traffic that none holds for is not ours. Without, the log's own
    word does; where it has none and the flywheel has one task, that is it.

    Returns:
        The task's name, null where there is none; and which rows are of this flywheel at all, shape ``(n,)``.
    """
    if not source.tasks:
        only = tasks[0] if len(tasks) == 1 else None
        named = queries.column("task") if only is None else pc.fill_null(queries.column("task"), only)
        known = pc.is_in(named, pa.array(tasks))
        return pc.if_else(known, named, None), np.ones(len(queries), bool)
    index = np.full(len(queries), -1)
    for number, rule in reversed(list(enumerate(source.tasks))):
        index[_holds(rule, queries)] = number
    ours = index >= 0
    names = pa.array([rule.task for rule in source.tasks])
    return names.take(pa.array(index, mask=~ours)), ours


def _holds(rule: TaskRule, queries: pa.RecordBatch) -> _Mask:
    holds = np.ones(len(queries), bool)
    if rule.model is not None:
        holds &= _matching(queries.column("model"), _like(rule.model))
    if rule.route is not None:
        holds &= _matching(queries.column("route"), _like(rule.route))
    if rule.system_prompt is not None:
        prefix = rule.system_prompt
        holds &= _matching(queries.column("system"), lambda text: prompt_hash(text).startswith(prefix))
    if rule.tag is not None:
        tags = queries.column("tags")
        rows = pc.list_parent_indices(tags).to_numpy()
        tagged = np.zeros(len(queries), bool)
        tagged[rows[_matching(tags.flatten(), _like(rule.tag))]] = True
        holds &= tagged
    return holds


def _like(pattern: str) -> Callable[[str], bool]:
    return lambda text: fnmatch.fnmatchcase(text, pattern)


def _matching(column: pa.Array, test: Callable[[str], bool]) -> _Mask:
    """Which values pass a test, asked once for each different one."""
    encoded = pc.dictionary_encode(column)
    passes = np.array([test(text) for text in encoded.dictionary.to_pylist()] + [False])
    return np.asarray(passes[pc.fill_null(encoded.indices, len(passes) - 1).to_numpy()], bool)
