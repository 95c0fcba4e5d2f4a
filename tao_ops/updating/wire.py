"""What the stage's process and the processes of a training tell each other: lines of JSON on one socket."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tao_ops import errors
from tao_ops.backends.trl_trainer.job import Best, Example, Group, Job, Judged, Preference, Question
from tao_ops.config import Method, UpdateConfig
from tao_ops.errors import TaoError
from tao_ops.records import ModelRef

_KINDS: Mapping[str, type[Example]] = {kind.__name__: kind for kind in (Best, Preference, Judged, Group, Question)}


def send(connection: Connection, **told: Any) -> None:
    """One message: plain values by name."""
    connection.send_bytes(json.dumps(told).encode())


def receive(connection: Connection) -> dict[str, Any]:
    """The next message.

    Raises:
        EOFError, OSError: the other side is gone.
    """
    told: dict[str, Any] = json.loads(connection.recv_bytes())
    return told


def job_as_dict(job: Job) -> dict[str, Any]:
    """The job as plain values, each example with its ``kind``."""
    return {
        "base": asdict(job.base),
        "champion": asdict(job.champion),
        "method": job.method.value,
        "config": job.config.model_dump(mode="json"),
        "examples": [{"kind": type(one).__name__, **asdict(one)} for one in job.examples],
        "holdout": questions_as_dicts(job.holdout),
        "seed": job.seed,
        "folder": str(job.folder),
        "scratch": str(job.scratch),
    }


def job_from_dict(told: Mapping[str, Any]) -> Job:
    """The job that :func:`job_as_dict` told."""
    return Job(
        base=ModelRef(**told["base"]),
        champion=ModelRef(**told["champion"]),
        method=Method(told["method"]),
        config=UpdateConfig.model_validate(told["config"]),
        examples=[_example(**one) for one in told["examples"]],
        holdout=questions_from_dicts(told["holdout"]),
        seed=told["seed"],
        folder=Path(told["folder"]),
        scratch=Path(told["scratch"]),
    )


def _example(kind: str, **values: Any) -> Example:
    return _KINDS[kind](**values)


def questions_as_dicts(questions: Sequence[Question]) -> list[dict[str, Any]]:
    """Questions as plain values."""
    return [asdict(one) for one in questions]


def questions_from_dicts(told: Sequence[Mapping[str, Any]]) -> list[Question]:
    """The questions that :func:`questions_as_dicts` told."""
    return [Question(**one) for one in told]


def error_as_dict(error: TaoError) -> dict[str, Any]:
    """An error that was raised on purpose, as plain values."""
    where = None if error.where is None else str(error.where)
    return {"kind": type(error).__name__, "what": error.what, "where": where, "mend": error.mend}


def error_from_dict(told: Mapping[str, Any]) -> TaoError:
    """The error that :func:`error_as_dict` told; of a kind that is not the library's own, its base."""
    kind = getattr(errors, told["kind"], TaoError)
    error: TaoError = kind(told["what"], where=told["where"], mend=told["mend"])
    return error
