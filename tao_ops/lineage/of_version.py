"""All that made one version, as ``tao lineage NAME VERSION`` tells it."""

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

from tao_ops.lineage.versions import Manifests, run_of, turn_of
from tao_ops.trained_rows import ROWS


def lineage(manifests: Manifests, version: int) -> dict[str, Any]:
    """Plain values: the version, what it was trained on, the versions before it, and the manifest's ``lineage``.

    Raises:
        RegistryError: there is no such version.
        DataError: it is the base model, or its manifest is lost.
    """
    manifest = manifests.of(version)
    told = manifest.get("lineage", {})
    erased = manifest.get("erased")
    return {
        "flywheel": manifests.flywheel,
        "version": version,
        **{name: manifest[name] for name in ("model_version", "architecture", "parameters", "dtype", "path")},
        "turn": turn_of(manifest),
        "run_id": run_of(manifest),
        "method": manifest["method"],
        "hyperparameters": manifest["hyperparameters"],
        "seed": manifest["seed"],
        "replayable": why_not_replayable(manifest) is None,
        "why_not_replayable": why_not_replayable(manifest),
        "erased": erased,
        "bases": manifests.chain(manifest),
        "training_rows": trained_on(manifest),
        "lineage": told,
    }


def why_not_replayable(manifest: dict[str, Any]) -> str | None:
    """Why the version's turn can't be run again; None where nothing that the manifest knows of is in the way."""
    if manifest.get("replayable") is False:
        erased = manifest.get("erased", {})
        return (
            f"{erased.get('rows', 'some')} rows that it was trained on were erased, at {erased.get('at', 'some time')}"
        )
    if "recipe" not in manifest.get("lineage", {}):
        return "it was made by a release that kept no recipe beside a candidate"
    return None


def trained_on(manifest: dict[str, Any]) -> dict[str, Any]:
    """The rows beside the model: how many, of what, and whether they are those that the manifest names.

    ``rows`` is what the model was trained on, ``left`` what still lies there.
    """
    path, told = Path(manifest["path"]) / ROWS, manifest.get("lineage", {}).get("training_rows_sha256")
    found: dict[str, Any] = {"path": str(path), "rows": manifest["rows"], "sha256": told, "left": None, "intact": False}
    if not path.is_file():
        return found
    import pyarrow.parquet as pq

    with path.open("rb") as file:
        intact = hashlib.file_digest(file, "sha256").hexdigest() == told
    rows = pq.read_table(path, columns=["turn", "query_id", "response_id"])
    pairs = set(zip(*(rows.column(name).to_pylist() for name in ("turn", "query_id")), strict=True))
    strategies = Counter(_strategy(one) for one in rows.column("response_id").to_pylist())
    return {
        **found,
        "left": rows.num_rows,
        "intact": intact,
        "queries": dict(Counter(turn for turn, _ in sorted(pairs))),
        "strategies": dict(strategies.most_common()),
    }


def _strategy(response_id: str | None) -> str:
    """The strategy that found a response: the second part of its id; the sampler of the training has none."""
    parts = str(response_id).split(":")
    return parts[1] if len(parts) > 2 else "no strategy"
