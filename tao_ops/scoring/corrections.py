"""Answers that users corrected: which answer is right to a query, and whether a response says the same.

A correction is a user's word, as a thumb is, and only labels what models said: it is never a response itself, so that
no one's words become a row to train on. A task without one does as well as before.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tao_ops.answers import strict_object
from tao_ops.config import Flywheel, ScorerConfig
from tao_ops.config.scorers import ConsensusConfig, LabelConfig, NumericConfig, SqlExecutionConfig
from tao_ops.lake import Lake
from tao_ops.records import Candidate, Prompt
from tao_ops.rewards import Scorer, Setting
from tao_ops.rewards.consensus import json_answer, key_of
from tao_ops.rewards.scorers import answers, build
from tao_ops.tables import QUERIES

Compare = Callable[[Sequence[Candidate]], list[float | None]]
"""Of candidates with a reference each: 1 where one says the same, 0 where not, None where that cannot be told."""

_COLUMNS = ["turn", "query_id", "user_hash", "received_at", "response", "feedback", "corrected"]
_REFERENCED = (LabelConfig, NumericConfig, SqlExecutionConfig)
"""Verifiers that compare with a reference."""


def comparison(flywheel: Flywheel, task: str) -> Compare:
    """How a task compares answers; no model is asked.

    Verifiers that know what a reference is (``label``, ``numeric``, ``sql_execution``) decide where the task has one.
    Else answers are the same where ``consensus`` counts them as the same vote: JSON objects by their values. Two texts
    that are neither may say the same in other words: where they differ, nothing is told.

    Raises:
        ConfigError: a scorer cannot be built.
    """
    config = flywheel.tasks[task]
    setting = Setting(flywheel.file(""), config.json_schema)
    verifiers = [build(one, setting) for one in config.scorers if isinstance(one, _REFERENCED)]
    if verifiers:
        return lambda batch: _verified([one for one in verifiers if one is not None], batch)
    return lambda batch: _alike(config.scorers, setting, batch)


@dataclass(frozen=True)
class Said:
    """What users said of a turn's production responses.

    Attributes:
        verdicts: by query and response, 1 where most of its users were content, 0 where not; a tie is none.
        right: by query, the answer that they say is right.
    """

    verdicts: Mapping[tuple[str, str], float] = field(default_factory=dict)
    right: Mapping[str, str] = field(default_factory=dict)


def said(lake: Lake, compare: Compare, flywheel: str, turns: Sequence[str], task: str) -> dict[str, Said]:
    """What users said, by turn; of a turn without feedback nothing.

    A correction counts as ``up`` for a response that says the same, and else as ``down``, whatever the thumb said.
    """
    judged = lake.read(
        QUERIES, columns=_COLUMNS, flywheel=flywheel, turn=list(turns), task=task, feedback=["up", "down"]
    )
    where = " or ".join(f"turn = '{turn}'" for turn in turns)
    condition = f"flywheel = '{flywheel}' and task = '{task}' and corrected is not null and ({where})"
    mended = [row for batch in lake.scan(QUERIES, [*_COLUMNS, "messages"], condition) for row in batch.to_pylist()]
    plain = [(row, 1 if row["feedback"] == "up" else -1) for row in judged.to_pylist() if row["corrected"] is None]
    by_turn: defaultdict[str, list[tuple[dict[str, Any], int]]] = defaultdict(list)
    for row, vote in [*plain, *_votes(compare, mended)]:
        by_turn[row["turn"]].append((row, vote))
    return {turn: _said(votes) for turn, votes in by_turn.items()}


def _votes(compare: Compare, rows: Sequence[dict[str, Any]]) -> list[tuple[dict[str, Any], int]]:
    """Rows with a correction, each with its vote on its response: that differs where nothing says that it doesn't."""
    if not rows:
        return []
    batch = []
    for row in rows:
        prompt = Prompt(row["query_id"], "", tuple(row["messages"]))
        text = row["response"] or ""
        batch.append(Candidate(row["query_id"], prompt.text, text, "", prompt.context, reference=row["corrected"]))
    return [(row, 1 if same == 1.0 else -1) for row, same in zip(rows, compare(batch), strict=True)]


def _said(votes: Sequence[tuple[dict[str, Any], int]]) -> Said:
    sums: defaultdict[tuple[str, str], int] = defaultdict(int)
    for row, vote in votes:
        if row["response"]:
            sums[row["query_id"], row["response"]] += vote
    verdicts = {key: float(total > 0) for key, total in sorted(sums.items()) if total}
    return Said(verdicts, agreed(row for row, _ in votes if row["corrected"] is not None))


def agreed(rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The right answer of each query that has one, as most of those who corrected it say; a tie is none.

    Args:
        rows: of ``queries``, with ``query_id``, ``user_hash``, ``received_at`` and ``corrected``. Of one user's several
            corrections of a query the newest counts; callers without a name count each.

    >>> row = {"query_id": "q", "user_hash": None, "received_at": 1}
    >>> agreed([{**row, "corrected": '{"a": 1}'}, {**row, "corrected": '{ "a":1 }'}, {**row, "corrected": "b"}])
    {'q': '{ "a":1 }'}
    """
    newest: dict[tuple[str, str | int], str] = {}
    ordered = sorted(rows, key=lambda row: (row["query_id"], row["received_at"], row["corrected"]))
    for number, row in enumerate(ordered):
        newest[row["query_id"], row["user_hash"] or number] = row["corrected"]
    said: defaultdict[str, list[str]] = defaultdict(list)
    for (query_id, _), text in newest.items():
        said[query_id].append(text)
    found = {query_id: _majority(texts) for query_id, texts in said.items()}
    return {query_id: text for query_id, text in found.items() if text is not None}


def _majority(texts: Sequence[str]) -> str | None:
    """One of the texts that say what most say; None where two things are said as often."""
    keys = [key_of(json_answer(text)) for text in texts]
    counts = Counter(keys).most_common(2)
    if len(counts) > 1 and counts[0][1] == counts[1][1]:
        return None
    return min(text for text, key in zip(texts, keys, strict=True) if key == counts[0][0])


def _verified(verifiers: Sequence[Scorer], batch: Sequence[Candidate]) -> list[float | None]:
    columns = [scorer(batch) for scorer in verifiers]
    found: list[float | None] = []
    for row in zip(*columns, strict=True):
        values = [score.value for score in row if score.value is not None]
        found.append(float(min(values) >= 0.5) if values else None)
    return found


def _alike(configs: Sequence[ScorerConfig], setting: Setting, batch: Sequence[Candidate]) -> list[float | None]:
    consensus = next((one for one in configs if isinstance(one, ConsensusConfig) and one.embedding is None), None)
    exact = consensus is not None and consensus.answer in ("number", "sql")
    read = answers(consensus, setting)
    said = read(batch)
    right = read([Candidate(c.query_id, c.query, c.reference or "", context=c.context) for c in batch])
    found: list[float | None] = []
    for candidate, one, other in zip(batch, said, right, strict=True):
        if one is None or other is None:
            found.append(None)
        elif key_of(one) == key_of(other):
            found.append(1.0)
        else:
            told = exact or not candidate.text.strip() or strict_object(candidate.reference or "") is not None
            found.append(0.0 if told else None)
    return found
