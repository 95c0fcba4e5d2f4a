"""Versions of models in MLflow's registry, with the run, the tags and the documents that go with each.

What MLflow calls a run holds one candidate's parameters, metrics, report and verdict.
"""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tao_ops.errors import DataError, MissingInput, RegistryError
from tao_ops.files import read_json
from tao_ops.mlflow_points import Point, PointLog
from tao_ops.mlflow_server import MlflowServer, or_none, quoted, run_of, unless_there
from tao_ops.models import ModelFacts
from tao_ops.records import ModelRef
from tao_ops.submissions import (
    MODEL_VERSION,
    PICTURES,
    Registered,
    Submission,
    description,
    log_documents,
    parameters,
    tags,
)

EXPIRED = "tao.expired"
"""The tag of a version whose weights are deleted."""


class MlflowVersions:
    """MLflow's tracking store and model registry on one PostgreSQL server."""

    def __init__(self, url: str, artifacts: Path | None) -> None:
        self._server, self._artifacts = MlflowServer(url), artifacts
        self._logs: dict[str, PointLog] = {}

    def find(self, flywheel: str, *, run_id: str, model_version: str) -> int | None:
        """The version with these two tags."""
        with self._server.client() as client:
            condition = f"name={quoted(flywheel)} and tags.`tao.run_id`={quoted(run_id)}"
            for found in client.search_model_versions(condition):
                if found.tags.get(MODEL_VERSION) == model_version:
                    return int(found.version)
        return None

    def ref(self, flywheel: str, version: int) -> ModelRef:
        """Where the version's files are."""
        found = self._get(flywheel, version)
        return ModelRef(found.source.removeprefix("file://"), _tag(found, "model_version"), version)

    def facts(self, flywheel: str, version: int) -> ModelFacts:
        """What the version was registered with."""
        found = self._get(flywheel, version)
        return ModelFacts(
            model_version=_tag(found, "model_version"),
            architecture=_tag(found, "architecture"),
            parameters=int(_tag(found, "parameters")),
            dtype=_tag(found, "dtype"),
        )

    def register(self, submission: Submission) -> int:
        """Make the version; the version of an earlier try of the same run is taken up, with the verdict of now.

        Where its weights were deleted and are there again, it is expired no more.
        """
        s, told = submission, tags(submission)
        version = self.find(s.flywheel, run_id=s.run_id, model_version=s.candidate["model_version"])
        with self._server.client() as client:
            if version is not None:
                earlier = client.get_model_version(s.flywheel, str(version))
                log_documents(client, earlier.run_id, s)
                for key, value in told.items():
                    client.set_model_version_tag(s.flywheel, str(version), key, value)
                if EXPIRED in earlier.tags and any(Path(s.candidate["path"]).glob("*.safetensors")):
                    client.delete_model_version_tag(s.flywheel, str(version), EXPIRED)
                client.update_model_version(s.flywheel, str(version), description=description(s))
                return version
            run = self._run(client, s, told)
            unless_there(lambda: client.create_registered_model(s.flywheel))
            made = client.create_model_version(
                s.flywheel,
                str(Path(s.candidate["path"]).absolute()),
                run_id=run,
                tags=told,
                description=description(s),
                await_creation_for=0,
            )
            return int(made.version)

    def begin(self, flywheel: str, told: Mapping[str, str], *, run: str | None = None, anew: bool = False) -> str:
        """The MLflow run of a training that begins: ``run`` again, where that is still there, else another.

        With ``anew`` it is another, and ``run``, if nobody has ended it, is ended.

        Args:
            told: its tags, ``tao.run_id`` among them.
        """
        with self._server.client() as client:
            before = None if run is None else run_of(client, run)
            if before is not None and not anew:
                client.update_run(run, status="RUNNING")
                return str(run)
            if before is not None and before.info.status == "RUNNING":
                client.set_terminated(run, "KILLED")
            experiment = self._experiment(client, flywheel)
            return str(client.create_run(experiment, tags=dict(told), run_name=told["tao.run_id"]).info.run_id)

    def log(self, run: str, points: Sequence[Point]) -> None:
        """Add points to an MLflow run, each once, however often it is given."""
        with self._server.client() as client:
            self._logs.setdefault(run, PointLog(run)).send(client, points)

    def end(self, run: str, status: str, pictures: Sequence[Path] = ()) -> None:
        """End an MLflow run as ``FINISHED``, ``FAILED`` or ``KILLED``; that of a version stays finished."""
        with self._server.client() as client:
            for path in pictures:
                client.log_artifact(run, str(path), PICTURES)
            has_version = MODEL_VERSION in client.get_run(run).data.tags
            client.set_terminated(run, "FINISHED" if has_version else status)

    def every(self, flywheel: str) -> list[Registered]:
        """All versions that are not deleted, oldest first."""
        found: list[Registered] = []
        with self._server.client() as client:
            page = None
            while page is None or page.token:
                token = None if page is None else page.token
                page = client.search_model_versions(f"name={quoted(flywheel)}", page_token=token)
                found += [Registered.of(one) for one in page]
        return sorted(found, key=lambda one: one.version)

    def has(self, flywheel: str, version: int) -> bool:
        """Whether MLflow knows the version."""
        with self._server.client() as client:
            return or_none(lambda: client.get_model_version(flywheel, str(version))) is not None

    def tag(self, flywheel: str, version: int, told: Mapping[str, str]) -> None:
        """Set tags ``tao.…`` of a version, where it is still there."""
        if self.has(flywheel, version):
            with self._server.client() as client:
                for name, value in told.items():
                    client.set_model_version_tag(flywheel, str(version), f"tao.{name}", value)

    def document(self, flywheel: str, version: int, name: str) -> dict[str, Any]:
        """A JSON document of the version's run.

        Raises:
            RegistryError: it is not there, or no JSON.
        """
        run = self._get(flywheel, version).run_id
        with self._server.client() as client, tempfile.TemporaryDirectory() as folder:
            try:
                return read_json(Path(client.download_artifacts(run, name, folder)))
            except (OSError, DataError, MissingInput):
                raise RegistryError(
                    f"MLflow has no readable {name} of version {version} of {flywheel}",
                    where=str(self._artifacts),
                    mend="restore MLflow's artifacts from a backup, or promote a version of a later turn",
                ) from None

    def logged(self, flywheel: str, version: int) -> dict[str, dict[str, Any]]:
        """``parameters`` and ``metrics`` of the version's run."""
        run = self._get(flywheel, version).run_id
        with self._server.client() as client:
            data = client.get_run(run).data
        return {"parameters": dict(sorted(data.params.items())), "metrics": dict(sorted(data.metrics.items()))}

    def aliases(self, flywheel: str) -> dict[str, int]:
        """The versions that MLflow's aliases are on; none where there is no version yet."""
        with self._server.client() as client:
            found = or_none(lambda: client.get_registered_model(flywheel))
        return {} if found is None else {alias: int(version) for alias, version in found.aliases.items()}

    def set_alias(self, flywheel: str, alias: str, version: int) -> None:
        """Put an alias onto ``version``; 0 takes it away."""
        if version:
            self._get(flywheel, version)
        with self._server.client() as client:
            if version:
                client.set_registered_model_alias(flywheel, alias, str(version))
            else:
                client.delete_registered_model_alias(flywheel, alias)

    def _get(self, flywheel: str, version: int) -> Any:
        with self._server.client() as client:
            found = or_none(lambda: client.get_model_version(flywheel, str(version)))
        if found is None:
            raise RegistryError(
                f"MLflow has no version {version} of {flywheel}",
                where=self._server.where,
                mend="it was never made, or was deleted there: promote, or roll back to, a version that is left",
            )
        return found

    def _run(self, client: Any, s: Submission, told: Mapping[str, str]) -> str:
        """The MLflow run of this submission, complete: its training's, where that was logged as it went.

        That of a try that was killed is finished.
        """
        experiment = self._experiment(client, s.flywheel)
        mine = told[MODEL_VERSION]
        condition = f"tags.`tao.run_id`={quoted(s.run_id)} and tags.`{MODEL_VERSION}`={quoted(mine)}"
        runs = client.search_runs([experiment], condition, max_results=1)
        training = None if runs or s.training is None else run_of(client, s.training)
        if training is not None and MODEL_VERSION not in training.data.tags:
            run = training.info
        else:
            run = (runs[0] if runs else client.create_run(experiment, tags=dict(told), run_name=s.run_id)).info
            if run.status == "FINISHED":
                return str(run.run_id)
        for name, value in parameters(s.candidate).items():
            client.log_param(run.run_id, name, value)
        log_documents(client, run.run_id, s)
        # Its model's version comes last: a retry takes a run that has it, and is finished, for complete.
        for name, value in sorted(told.items(), key=lambda tag: tag[0] == MODEL_VERSION):
            client.set_tag(run.run_id, name, value)
        client.set_terminated(run.run_id, "FINISHED")
        return str(run.run_id)

    def _experiment(self, client: Any, name: str) -> str:
        found = client.get_experiment_by_name(name)
        if found is None:
            if self._artifacts is None:
                raise ValueError("no folder for MLflow's documents")
            folder = self._artifacts.absolute() / name
            folder.mkdir(parents=True, exist_ok=True)
            unless_there(lambda: client.create_experiment(name, artifact_location=str(folder)))
            found = client.get_experiment_by_name(name)
        if found.lifecycle_stage == "deleted":
            client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)


def _tag(found: Any, name: str) -> str:
    if f"tao.{name}" not in found.tags:
        raise RegistryError(
            f"version {found.version} of {found.name} has no tag tao.{name}",
            mend="it was not registered by a turn, or the tag was removed: promote another version",
        )
    return str(found.tags[f"tao.{name}"])
