"""The manifest of a version, and those of the versions that it was trained from."""

from pathlib import Path
from typing import Any

from tao_ops.errors import DataError, RegistryError
from tao_ops.files import read_json
from tao_ops.registry import BASE, open_versions
from tao_ops.settings import Settings
from tao_ops.trained_rows import MANIFEST


class Manifests:
    """The manifests of one flywheel's versions, found by the registry."""

    def __init__(self, flywheel: str, url: str, settings: Settings) -> None:
        """``url`` is of the database ``tao``."""
        self.flywheel, self._versions = flywheel, open_versions(url, settings)

    def of(self, version: int) -> dict[str, Any]:
        """The manifest beside a version.

        Raises:
            RegistryError: MLflow does not know the version.
            DataError: it is the base model, or its manifest is lost.
        """
        if version <= BASE:
            raise DataError(
                f"version {version} of {self.flywheel} was made by no turn: 0 is the base model",
                mend="name a version that was registered: tao registry list",
            )
        ref = self._versions.ref(self.flywheel, version)
        path = Path(ref.path) / MANIFEST
        if not path.is_file():
            raise DataError(
                f"the manifest of version {version} of {self.flywheel} is lost",
                where=path,
                mend="restore the folder from a backup",
            )
        # Where it lies now: the registry's word counts, not what it said when it was made.
        return {**read_json(path), "path": ref.path, "version": version}

    def chain(self, manifest: dict[str, Any]) -> list[dict[str, Any]]:
        """The versions that one was trained from, the nearest first, down to the base model; a line of each.

        One that is lost says so under ``lost``, and is the last.
        """
        found: list[dict[str, Any]] = []
        seen, now = {manifest["version"]}, manifest["base"]
        while now["version"] not in (None, BASE) and now["version"] not in seen:
            seen.add(now["version"])
            try:
                one = self.of(int(now["version"]))
            except (DataError, RegistryError) as error:
                found.append({**now, "lost": str(error)})
                return found
            found.append(
                {
                    "version": one["version"],
                    "model_version": one["model_version"],
                    "turn": turn_of(one),
                    "run_id": run_of(one),
                    "method": one["method"],
                    "rows": one["rows"],
                    "erased": one.get("erased"),
                }
            )
            now = one["base"]
        found.append({"version": now["version"], "model_version": now["model_version"]})
        return found

    def version_of(self, manifest: dict[str, Any]) -> int | None:
        """The number that a candidate was registered under, if it was."""
        return self._versions.find(self.flywheel, run_id=run_of(manifest), model_version=manifest["model_version"])


def turn_of(manifest: dict[str, Any]) -> str:
    """The turn that made it; manifests of release 0.1.0 name the turns of their window alone."""
    return str(manifest.get("turn") or manifest["lineage"]["turns"][-1])


def run_of(manifest: dict[str, Any]) -> str:
    """The run that made it; of a manifest of release 0.1.0, as its folder names it."""
    return str(manifest.get("run_id") or Path(manifest["path"]).parent.name)
