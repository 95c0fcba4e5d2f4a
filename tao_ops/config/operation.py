"""How a flywheel's DAG is operated: whose it is, when a run is late, and who is told of what."""

import re
from collections.abc import Iterator
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from tao_ops.config.base import Duration, Strict
from tao_ops.config.plain import named_secret, signed_in

_REFERENCE = re.compile(r"\{\{.+\}\}", re.DOTALL)


class NoticeOn(StrEnum):
    """What somebody is told of."""

    FAILURE = "failure"
    """A run has failed: one of its tasks did, after all its tries."""
    APPROVAL = "approval"
    """A promotion waits for a person."""
    PROMOTE = "promote"
    """A candidate became the champion, by the gate, by a person or by its canary."""
    DEADLINE = "deadline"
    """A run is not over within ``deadline``."""


class NotifyConfig(Strict):
    """One of Airflow's notifiers, and what it tells of."""

    on: tuple[NoticeOn, ...] = Field(min_length=1)
    notifier: str = Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$")
    """Path of its class, ``airflow.providers.smtp.notifications.smtp.SmtpNotifier``."""
    arguments: dict[str, Any] = Field(default_factory=dict)
    """What it is made with; ``{{ … }}`` is filled in where the notifier's template fields allow. Never a secret."""

    @model_validator(mode="before")
    @classmethod
    def _plain_on(cls, value: Any) -> Any:
        """YAML 1.1 reads the bare key ``on`` as true."""
        if isinstance(value, dict) and True in value and "on" not in value:
            return {"on" if key is True else key: each for key, each in value.items()}
        return value

    @field_validator("arguments")
    @classmethod
    def _no_secret(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name, text in _texts(value):
            if (named_secret(name) and not _REFERENCE.search(text)) or signed_in(text):
                raise PydanticCustomError(
                    "secret",
                    "{name} looks like a secret: name a connection of Airflow (…_conn_id), or a Variable",
                    {"name": repr(name)},
                )
        return value


class OperationConfig(Strict):
    """How the flywheel's DAG is operated."""

    owner: str = Field(default="tao", pattern=r"^[^,\s](?:[^,]{0,98}[^,\s])?$")
    """Of the DAG's tasks."""
    tags: tuple[Annotated[str, Field(min_length=1, max_length=100)], ...] = ()
    """Of the DAG, besides ``tao``."""
    deadline: Duration | None = None
    """A run that is not over by then, counted from when it was queued, is late: Airflow shows it, and tells."""
    notify: tuple[NotifyConfig, ...] = ()

    @field_validator("deadline")
    @classmethod
    def _some_time(cls, value: timedelta | None) -> timedelta | None:
        if value is not None and value <= timedelta(0):
            raise ValueError("a deadline is longer than that")
        return value

    @model_validator(mode="after")
    def _has_deadline(self) -> Self:
        if self.deadline is None and any(NoticeOn.DEADLINE in one.on for one in self.notify):
            raise ValueError("'notify' on 'deadline' needs a 'deadline'")
        return self


def _texts(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """All texts of nested arguments, with the name that each goes by; a password may be a number."""
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        yield name, str(value)
    elif isinstance(value, dict):
        for key, one in value.items():
            yield from _texts(one, str(key))
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from _texts(one, name)
