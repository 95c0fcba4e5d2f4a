"""What was made of one query, as ``tao lineage NAME --of-query ID`` tells it; neither its text nor who sent it."""

import hashlib
from collections import Counter
from typing import Any

from tao_ops import trained_rows
from tao_ops.errors import DataError
from tao_ops.files import read_json
from tao_ops.lake import Lake
from tao_ops.lineage.versions import Manifests
from tao_ops.tables import CLUSTERS, ERASURES, PROMPTS, QUARANTINE, QUERIES, RESPONSES, REWARDS


def lineage(lake: Lake, manifests: Manifests, query_id: str) -> dict[str, Any]:
    """By turn, what each table holds of the query; the models that were trained on it; whether it was erased.

    Raises:
        DataError: nothing is known of the query.
    """
    flywheel = manifests.flywheel
    where: dict[str, Any] = {"flywheel": flywheel, "query_id": query_id}
    logged = _rows(lake, QUERIES, ["turn", "source", "request_id", "task", "received_at", "event_turn"], where)
    asked = _rows(lake, PROMPTS, ["turn", "task", "split", "cluster", "count"], where)
    first = _rows(lake, CLUSTERS, ["turn", "task", "split", "cluster"], where)
    erased = lake.read(ERASURES, columns=["query_id", "erased_at"], **where).to_pylist()
    turns = sorted({str(row["turn"]) for row in [*logged, *asked, *first]})
    models = _trained(lake, manifests, query_id)
    if not (turns or erased or models):
        raise DataError(
            f"{flywheel} knows no query {query_id!r}",
            where=lake.root,
            mend="name a query_id of the table 'queries'; it may have expired",
        )
    responses = _rows(
        lake, RESPONSES, ["turn", "response_id", "strategy", "strategy_version", "model_version", "tokens"], where
    )
    rewards = {
        (row["turn"], row["response_id"]): row
        for row in _rows(lake, REWARDS, ["turn", "response_id", "reward", "calibrator_version"], where)
    }
    for row in responses:
        judged = rewards.get((row["turn"], row["response_id"]), {})
        row |= {name: judged.get(name) for name in ("reward", "calibrator_version")}
    return {
        "flywheel": flywheel,
        "query_id": query_id,
        "erased": [f"{row['erased_at']:%Y-%m-%dT%H:%M:%SZ}" for row in erased],
        "split": next((row["split"] for row in [*asked, *first]), None),
        "turns": {
            turn: {
                "queries": [_without_turn(row) for row in logged if row["turn"] == turn],
                "prompt": next((_without_turn(row) for row in asked if row["turn"] == turn), None),
                "refused": _refused(lake, flywheel, turn, [row for row in logged if row["turn"] == turn]),
                "responses": [_without_turn(row) for row in responses if row["turn"] == turn],
            }
            for turn in turns
        },
        "trained": models,
        "descendants": _descendants(lake, manifests, {one["model_version"] for one in models}),
    }


def _rows(lake: Lake, table: Any, columns: list[str], where: dict[str, Any]) -> list[dict[str, Any]]:
    rows = lake.read(table, columns=columns, **where).to_pylist()
    told = [
        {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in r.items()} for r in rows
    ]
    return sorted(told, key=lambda row: tuple(str(row[name]) for name in columns))


def _without_turn(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "turn"}


def _refused(lake: Lake, flywheel: str, turn: str, logged: list[dict[str, Any]]) -> dict[str, int]:
    """Why ``validate`` kept the query's requests away from the prompts, by reason."""
    found: Counter[str] = Counter()
    for source in {row["source"] for row in logged}:
        position = [row["request_id"] for row in logged if row["source"] == source]
        where: dict[str, Any] = {"flywheel": flywheel, "turn": turn, "stage": "validate"}
        where |= {"source": source, "position": position}
        found.update(lake.read(QUARANTINE, columns=["reason"], **where).column("reason").to_pylist())
    return dict(found)


def _trained(lake: Lake, manifests: Manifests, query_id: str) -> list[dict[str, Any]]:
    """The candidates that were trained on the query, with their versions and the rows."""
    import pyarrow.parquet as pq

    found = []
    for candidate in trained_rows.candidates(lake, manifests.flywheel):
        if not candidate.model_version:
            continue
        path = candidate.folder / trained_rows.ROWS
        rows = pq.read_table(path, filters=[("query_id", "=", query_id)]).to_pylist()
        if rows:
            found.append(
                {
                    "version": _version(manifests, candidate),
                    "model_version": candidate.model_version,
                    "run_id": candidate.run_id,
                    "rows": len(rows),
                    "responses": [
                        {
                            **{name: row.get(name) for name in ("turn", "response_id", "role", "reward", "copies")},
                            "sha256": hashlib.sha256(str(row["response"]).encode()).hexdigest()[:16],
                        }
                        for row in rows
                    ],
                }
            )
    return sorted(found, key=lambda one: (one["version"] is None, one["version"] or 0, one["model_version"]))


def _descendants(lake: Lake, manifests: Manifests, models: set[str]) -> list[dict[str, Any]]:
    """The models that were trained from these, in any number of steps, themselves not on the query."""
    every = [one for one in trained_rows.candidates(lake, manifests.flywheel) if one.model_version]
    later = trained_rows.descendants(every, models) - models
    return [
        {"version": _version(manifests, one), "model_version": one.model_version}
        for one in every
        if one.model_version in later
    ]


def _version(manifests: Manifests, candidate: trained_rows.Candidate) -> int | None:
    manifest = read_json(candidate.folder / trained_rows.MANIFEST)
    return manifests.version_of({**manifest, "path": str(candidate.folder)})
