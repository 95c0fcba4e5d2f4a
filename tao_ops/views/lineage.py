"""From a version back to the rows that it was trained on, and from a row forward to all that was made of it."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

from tao_ops.errors import DataError
from tao_ops.lake import Lake
from tao_ops.lineage import of_version
from tao_ops.scoring.labels import is_logged
from tao_ops.tables import CLUSTERS, ERASURES, PROMPTS, QUARANTINE, QUERIES, RESPONSES, REWARDS, Table
from tao_ops.views import paging
from tao_ops.views.history import check_flywheel, turns_of
from tao_ops.views.models import Model, Recorded, models
from tao_ops.views.records import (
    Backward,
    BaseLine,
    Fact,
    Forward,
    ForwardTurn,
    Page,
    ReachedVersion,
    SourceRows,
    TrainedRow,
)
from tao_ops.views.releases import standing

SOME = 20
"""Request ids of a query in one turn that are shown."""
_EXCERPT = 240
_TRAINED = ("turn", "query_id", "response_id", "role", "reward", "copies", "messages", "response")
_HELD = ("queries", "prompts", "responses", "rewards")
Row = dict[str, Any]


def backward(lake: Lake, database_url: str, flywheel: str, version: int, *, page: int = 1, size: int = 50) -> Backward:
    """All that made a version, and one page of the very rows that it was trained on.

    Raises:
        ConfigError: there can be no such page.
        DataError: there is no such version, it is the base model, or its manifest is lost.
        RegistryError: the registry cannot be asked, or does not know the version.
    """
    paging.check(page, size)
    stands = standing(database_url, flywheel)
    found = of_version.lineage(Recorded(lake, database_url, flywheel, stands), version)
    trained = found["training_rows"]
    return Backward(
        flywheel=flywheel,
        **{name: found[name] for name in ("version", "model_version", "turn", "run_id", "method", "seed")},
        rows_trained=trained["rows"],
        rows_left=trained["left"],
        rows_intact=trained["intact"],
        why_not_replayable=found["why_not_replayable"],
        erased_at=(found["erased"] or {}).get("at"),
        bases=tuple(_base(each) for each in found["bases"]),
        sources=_sources(found["lineage"]),
        facts=tuple(_facts(found["lineage"])),
        events=stands.about(version),
        rows=_trained(Path(trained["path"]), page, size),
    )


def forward(lake: Lake, database_url: str, flywheel: str, row: str) -> Forward:
    """All that was made of a query.

    Args:
        row: a ``query_id``, or the ``request_id`` of one of its requests.

    Raises:
        DataError: nothing is known of the row.
        RegistryError: the registry cannot be asked.
    """
    check_flywheel(lake, flywheel)
    query_id, logged, prompts, first, erased = _found(lake, flywheel, row)
    turns = sorted({one["turn"] for one in (*logged, *prompts, *first)})
    reached = _reached(lake, database_url, flywheel, query_id, turns)
    if not (turns or erased or reached):
        mend = "name a query_id or a request_id of the table 'queries'; it may have expired"
        raise DataError(f"{flywheel} knows no query and no request {row!r}", where=lake.root, mend=mend)
    return Forward(
        flywheel=flywheel,
        named=row,
        query_id=query_id,
        split=next((one["split"] for one in (*prompts, *first)), None),
        erased=tuple(f"{at:%Y-%m-%dT%H:%M:%SZ}" for at in erased),
        turns=tuple(_turns(lake, flywheel, query_id, turns, logged, prompts)),
        versions=reached,
    )


def _base(each: Mapping[str, Any]) -> BaseLine:
    return BaseLine(*(each.get(name) for name in ("version", "model_version", "turn", "method", "rows", "lost")))


def _sources(told: Mapping[str, Any]) -> tuple[SourceRows, ...]:
    return tuple(
        SourceRows(turn, name, tables[name]["rows"], tables[name]["digest"], tables[name]["version"])
        for turn, tables in told.get("rows", {}).items()
        for name in _HELD
        if name in tables
    )


def _facts(told: Mapping[str, Any]) -> list[Fact]:
    scorers = {task: one["digest"] for task, one in told.get("scorers", {}).items()}
    named = {
        "SHA-256 of the training rows": told.get("training_rows_sha256"),
        "digest of the configuration": told.get("config_digest"),
        "version of the code": told.get("code_version"),
        "digest of the packages": told.get("packages_digest"),
        "engine": told.get("engine", {}).get("name"),
        **{f"digest of the prompt of {task}": digest for task, digest in told.get("prompts", {}).items()},
        **{f"digest of the scorers of {task}": digest for task, digest in scorers.items()},
    }
    return [Fact(name, str(value)) for name, value in named.items() if value is not None]


def _trained(path: Path, page: int, size: int) -> Page[TrainedRow]:
    """One page of the rows that a model was trained on; none where their file is lost."""
    import pyarrow.parquet as pq

    if not path.is_file():
        return Page((), page, size, 0)
    names = [name for name in _TRAINED if name in pq.read_schema(path).names]
    rows = pq.read_table(path, columns=names)
    shown = rows.slice((page - 1) * size, size).to_pylist()
    return Page(tuple(_trained_row(row) for row in shown), page, size, rows.num_rows)


def _trained_row(row: Mapping[str, Any]) -> TrainedRow:
    parts = str(row.get("response_id") or "").split(":")
    said = [message["content"] for message in row.get("messages") or ()]
    response = row.get("response")
    return TrainedRow(
        turn=row["turn"],
        strategy=parts[1] if len(parts) > 2 else None,
        text=said[-1][:_EXCERPT] if said else None,
        response=None if response is None else response[:_EXCERPT],
        **{name: row.get(name) for name in ("query_id", "response_id", "role", "reward", "copies")},
    )


def _found(lake: Lake, flywheel: str, row: str) -> tuple[str, list[Row], list[Row], list[Row], list[datetime]]:
    """The id of the query that is meant, its requests, its prompts, where it was seen first, and when erased."""
    requests = ("turn", "query_id", "source", "request_id")

    def read(table: Table, *columns: str, **where: Any) -> Callable[[], list[Row]]:
        return lambda: list(lake.read(table, columns=list(columns), flywheel=flywheel, **where).to_pylist())

    logged, named = _at_once(read(QUERIES, *requests, query_id=row), read(QUERIES, "query_id", request_id=row))
    query_id = str(named[0]["query_id"]) if named and not logged else row
    if query_id != row:
        logged = read(QUERIES, *requests, query_id=query_id)()
    # Each turn is some small files. A prompt is of a turn that its query came in, or whose queries have expired.
    near = {one["turn"] for one in logged}
    of = (
        {"turn": sorted(near | (turns_of(lake, PROMPTS, flywheel) - turns_of(lake, QUERIES, flywheel)))} if near else {}
    )
    prompts, first, erased = _at_once(
        read(PROMPTS, "turn", "task", "split", "cluster", "count", query_id=query_id, **of),
        read(CLUSTERS, "turn", "split", query_id=query_id, **of),
        read(ERASURES, "erased_at", query_id=query_id),
    )
    return query_id, logged, prompts, first, sorted(one["erased_at"] for one in erased)


def _at_once(*asks: Callable[[], list[Row]]) -> list[list[Row]]:
    with ThreadPoolExecutor(len(asks)) as pool:
        return [asked.result() for asked in [pool.submit(ask) for ask in asks]]


def _turns(
    lake: Lake, flywheel: str, query_id: str, turns: Sequence[str], logged: Sequence[Row], prompts: Sequence[Row]
) -> list[ForwardTurn]:
    asked = {one["turn"]: one for one in prompts}
    refused = _refused(lake, flywheel, logged)
    # A response is of a prompt: no other turn's files are looked into.
    of: dict[str, Any] = {"flywheel": flywheel, "query_id": query_id, "turn": list(asked)}
    responses = Counter(lake.read(RESPONSES, columns=["turn"], **of).column("turn").to_pylist())
    best: dict[str, float] = {}
    for one in lake.read(REWARDS, columns=["turn", "response_id", "reward"], **of).to_pylist():
        if one["reward"] is not None and not is_logged(one["response_id"]):
            best[one["turn"]] = max(best.get(one["turn"], 0.0), one["reward"])
    found = []
    for turn in turns:
        mine = sorted(one["request_id"] for one in logged if one["turn"] == turn)
        prompt: Mapping[str, Any] = asked.get(turn, {})
        found.append(
            ForwardTurn(
                turn=turn,
                logged=len(mine),
                request_ids=tuple(mine[:SOME]),
                **{name: prompt.get(name) for name in ("task", "split", "cluster", "count")},
                refused=dict(refused.get(turn, {})),
                responses=responses[turn],
                best=best.get(turn),
            )
        )
    return found


def _refused(lake: Lake, flywheel: str, logged: Sequence[Row]) -> dict[str, Counter[str]]:
    """By turn, why ``validate`` kept the query's requests away from the prompts."""
    requests = {(one["turn"], one["source"], one["request_id"]) for one in logged}
    found: dict[str, Counter[str]] = {}
    where: dict[str, Any] = {"flywheel": flywheel, "turn": sorted({turn for turn, *_ in requests}), "stage": "validate"}
    columns = ["turn", "source", "position", "reason"]
    for one in lake.read(QUARANTINE, columns=columns, **where).to_pylist() if requests else ():
        if (one["turn"], one["source"], one["position"]) in requests:
            found.setdefault(one["turn"], Counter())[one["reason"]] += 1
    return found


def _reached(
    lake: Lake, database_url: str, flywheel: str, query_id: str, turns: Sequence[str]
) -> tuple[ReachedVersion, ...]:
    """The models that were trained on the query, and those that were trained from such a model."""
    every, of = models(lake, flywheel), set(turns)
    direct = {
        one.folder: rows for one in every if (not one.turns or one.turns & of) and (rows := one.rows_of(query_id))
    }
    if not direct:
        return ()
    found = {one.model_version for one in every if one.folder in direct}
    while more := {one.model_version for one in every if one.base in found} - found:
        found |= more
    recorded = Recorded(lake, database_url, flywheel, standing(database_url, flywheel))
    reached = [_version(recorded, one, direct.get(one.folder, 0)) for one in every if one.model_version in found]
    return tuple(sorted(reached, key=lambda one: (one.version is None, one.version or 0, one.model_version)))


def _version(recorded: Recorded, one: Model, rows: int) -> ReachedVersion:
    return ReachedVersion(recorded.version_of_model(one), one.model_version, one.run_id, rows)
