"""Where a flywheel's stages run on a Ray cluster, and with what; never a secret."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from tao_ops.config.base import Duration, Strict
from tao_ops.config.plain import named_secret, signed_in

Amount = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
Stage = Literal["ingest", "validate", "generate", "score", "update", "evaluate", "gate", "register"]
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class RayAmounts(Strict):
    """What a stage's job holds of the node that it runs on."""

    cpus: Amount = 1.0
    gpus: Amount = 1.0
    """The stage sees these GPUs and no others."""
    memory_gib: Amount | None = None
    """Ray counts it, and does not limit it."""
    resources: dict[Annotated[str, Field(min_length=1)], Amount] = Field(default_factory=dict)
    """Resources by the names that the cluster's nodes gave them."""


class RayConfig(RayAmounts):
    """A Ray cluster, by its Jobs API, and what a stage's job asks of it.

    Whatever is told here shows in Ray's dashboard: a secret belongs into the environment of the cluster's nodes.
    """

    address: str | None = None
    """Of the Jobs API, ``http://ray-head:8265``."""
    connection: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}$")
    """A connection of Airflow that holds the address instead, and a token or headers where the API asks for them."""
    stages: dict[Stage, RayAmounts] = Field(default_factory=dict)
    """Other amounts for single stages; what a stage does not name is as above."""
    python: str = Field(default="python", min_length=1)
    """The interpreter on the cluster's nodes that has ``tao_ops`` and what its stages need."""
    environment: dict[Variable, str | None] = Field(default_factory=dict)
    """Variables of the stage's process; one without a value has that of Airflow's worker."""
    runtime_env: dict[str, Any] = Field(default_factory=dict)
    """Ray's runtime environment for the job, by remote addresses: ``working_dir``, ``pip``, ``image_uri``, …"""
    limit_lost: Duration = timedelta(minutes=10)
    """How long a lost connection to the Jobs API is tried again before the task fails."""

    def amounts(self, stage: str) -> RayAmounts:
        """What the job of ``stage`` holds."""
        told = {name: getattr(self, name) for name in RayAmounts.model_fields}
        own = {name: one for key, each in self.stages.items() if key == stage for name, one in _set(each)}
        return RayAmounts(**{**told, **own})

    @field_validator("address")
    @classmethod
    def _http(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("an address of Ray's Jobs API begins with http:// or https://, http://ray-head:8265")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise PydanticCustomError(
                "secret", "an address holds no user, password or query: name a connection of Airflow instead"
            )
        return value.rstrip("/")

    @field_validator("environment", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        """YAML reads ``1`` as a number, and a variable is a text."""
        if not isinstance(value, dict):
            return value
        return {
            name: str(one) if isinstance(one, int | float) and not isinstance(one, bool) else one
            for name, one in value.items()
        }

    @field_validator("environment", "runtime_env")
    @classmethod
    def _no_secret(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name, text in _named(value):
            if is_secret(name, text):
                raise PydanticCustomError(
                    "secret",
                    "{name} looks like a secret, and Ray's dashboard shows it: set it in the environment of the "
                    "cluster's nodes",
                    {"name": repr(name)},
                )
        return value

    @field_validator("runtime_env")
    @classmethod
    def _no_variables(cls, value: dict[str, Any]) -> dict[str, Any]:
        if "env_vars" in value:
            raise ValueError("variables of the job belong into 'environment'")
        for key in ("working_dir", "py_modules"):
            for one in value[key] if isinstance(value.get(key), list) else [value.get(key)]:
                if one is not None and "://" not in str(one):
                    raise ValueError(f"{key!r} is an address that the nodes can fetch, s3://bucket/code.zip")
        return value

    @field_validator("limit_lost")
    @classmethod
    def _some_time(cls, value: timedelta) -> timedelta:
        if value <= timedelta(0):
            raise ValueError("'limit_lost' is longer than that")
        return value

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.address is None) == (self.connection is None):
            raise ValueError("name 'address' or 'connection', one of the two")
        return self


def is_secret(name: str, text: str) -> bool:
    """Whether a variable is called a secret and is not the place of one, or its text has a password in an address.

    >>> is_secret("TAO_HASH_KEY", "k"), is_secret("TAO_HASH_KEY_FILE", "/run/secrets/key"), is_secret("A", "http://b:c@d")
    (True, False, True)
    """
    return (named_secret(name) and not name.lower().endswith(("_file", "_path", "_dir"))) or signed_in(text)


def _set(part: RayAmounts) -> Iterator[tuple[str, Any]]:
    """What a YAML says, without the defaults of what it does not."""
    yield from ((name, getattr(part, name)) for name in part.model_fields_set)


def _named(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """All values of a nested mapping, with the name that each goes by."""
    if isinstance(value, dict):
        for key, one in value.items():
            yield from _named(one, str(key))
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _named(one, name)
    else:
        yield name, "" if value is None else str(value)
