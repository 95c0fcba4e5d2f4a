"""``ingest``: the interval's query logs become ``queries``, redacted before the first write."""

import glob
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tao_ops import privacy
from tao_ops.config import Flywheel, SourceConfig, expand
from tao_ops.errors import DataError
from tao_ops.records import StageReport
from tao_ops.sources import chat_completions
from tao_ops.sources.chat_completions import BrokenLine, LoggedQuery
from tao_ops.stages import Run
from tao_ops.tables import QUARANTINE, QUERIES, Reason

_EXCERPT = 200


def run(run: Run) -> StageReport:
    """Take every logged query whose time lies in the turn's interval, once.

    Broken lines go to ``quarantine``; a line whose time can't be read belongs to the turn that holds the midnight
    of the date its file's name begins with, and else to none, so that it is counted once.

    Raises:
        ConfigError: there is no key for the hashes.
        DataError: no file matches, or no query of the interval was found; nothing was written.
    """
    key = run.settings.require_hash_key()
    queries: list[dict[str, Any]] = []
    quarantine: list[dict[str, Any]] = []
    seen: set[tuple[str, str]] = set()
    for source in run.flywheel.sources:
        for path in _files(source):
            before = len(queries)
            for line in chat_completions.read(path):
                if isinstance(line, LoggedQuery) and _inside(run, line):
                    identity = (source.namespace, line.request_id)
                    task = _task(run.flywheel, line)
                    if task is None:
                        quarantine.append(_refuse(source, line.position, Reason.UNKNOWN_TASK, line.task or ""))
                    elif identity in seen:
                        quarantine.append(_refuse(source, line.position, Reason.REPEATED_REQUEST, line.request_id))
                    else:
                        seen.add(identity)
                        queries.append(_query(line, source, task, run, key))
                elif isinstance(line, BrokenLine) and _belongs(run, line, path):
                    quarantine.append(_refuse(source, line.position, line.reason, line.text))
            if len(queries) > before:
                run.say(f"{path.name}: {len(queries) - before} queries")
    if not queries:
        raise _nothing(run, quarantine)
    reasons = Counter(row["reason"] for row in quarantine)
    run.lake.write(QUARANTINE, quarantine, turn=run.turn, run_id=run.run_id, stage="ingest")
    version = run.lake.write(QUERIES, queries, turn=run.turn, run_id=run.run_id)
    return StageReport(
        stage="ingest",
        rows_in=len(queries) + len(quarantine),
        rows_out=len(queries),
        output_version=version,
        metrics={"quarantine": dict(reasons), "users": len({q["user_hash"] for q in queries if q["user_hash"]})},
    )


def _files(source: SourceConfig) -> Iterator[Path]:
    pattern = expand(source.path)
    paths = sorted(Path(path) for path in glob.glob(pattern, recursive=True))
    if not paths:
        raise DataError("no query log matches", where=pattern, mend="mend 'sources.path', or see that logs are written")
    yield from paths


def _inside(run: Run, line: LoggedQuery) -> bool:
    return run.turn.start <= line.received_at < run.turn.end


def _belongs(run: Run, line: BrokenLine, path: Path) -> bool:
    if line.received_at is not None:
        return run.turn.start <= line.received_at < run.turn.end
    try:
        midnight = datetime.fromisoformat(path.name[:10]).replace(tzinfo=ZoneInfo(run.flywheel.timezone))
    except ValueError:
        return False
    return run.turn.start <= midnight < run.turn.end


def _task(flywheel: Flywheel, line: LoggedQuery) -> str | None:
    if line.task is None and len(flywheel.tasks) == 1:
        return next(iter(flywheel.tasks))
    return line.task if line.task in flywheel.tasks else None


def _query(line: LoggedQuery, source: SourceConfig, task: str, run: Run, key: bytes) -> dict[str, Any]:
    messages = privacy.redact_messages(line.messages)
    said = "\x1e".join(f"{m['role']}\x1d{m['content']}" for m in messages)
    return {
        "query_id": privacy.keyed_hash(key, "query", task, said),
        "request_id": line.request_id,
        "source": source.namespace,
        "event_turn": run.turn.key,
        "task": task,
        "received_at": line.received_at,
        "messages": messages,
        "model_version": line.model_version,
        "response": None if line.response is None else privacy.redact(line.response),
        "feedback": None,
        "user_hash": None if line.user is None else privacy.keyed_hash(key, "user", line.user),
        "redactor_version": privacy.REDACTOR_VERSION,
    }


def _refuse(source: SourceConfig, position: str, reason: Reason, text: str) -> dict[str, Any]:
    # Redacted first and cut after: a cut in the middle of an address would hide it from the redactor.
    excerpt = privacy.redact(text)[:_EXCERPT]
    return {"source": source.namespace, "position": position, "reason": reason.value, "excerpt": excerpt}


def _nothing(run: Run, quarantine: list[dict[str, Any]]) -> DataError:
    interval = f"{run.turn.key} to {run.turn.end:%Y-%m-%dT%H:%MZ}"
    if quarantine:
        reasons = Counter(row["reason"] for row in quarantine)
        said = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
        first = quarantine[0]
        return DataError(
            f"none of the interval's {len(quarantine)} lines is a query ({said})",
            where=f"{interval}; first: {first['position']}",
            mend="see what writes the logs; docs/adding-a-task.md shows the format",
        )
    sources = ", ".join(expand(source.path) for source in run.flywheel.sources)
    return DataError(
        "no query was logged in the interval", where=interval, mend=f"see that logs of it have landed in {sources}"
    )
