"""What a Connection of Airflow holds, by its id: a stage finds it in its environment, whoever put it there."""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import BaseModel, Field

from tao_ops.errors import ConfigError

PREFIX = "TAO_CONNECTION_"
"""Of the variables that Airflow's tasks hand to their stages."""

_AIRFLOWS = "AIRFLOW_CONN_"
_EXTRA = "__extra__"

ConnectionId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}$")]
"""The id of a Connection; of two that differ in case, ``-``, ``.`` and ``_`` alone, one is enough."""


@dataclass(frozen=True)
class Connection:
    """The parts of a Connection that are read; what it does not hold is empty.

    Attributes:
        extra: its further fields, as its provider names them.
    """

    id: str
    login: str = ""
    password: str = field(default="", repr=False)
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def refuse(self, *names: str) -> None:
        """Refuse further fields that would have to be followed, and are not.

        Raises:
            ConfigError: it holds one of ``names``.
        """
        for name in names:
            if self.extra.get(name):
                raise ConfigError(
                    f"the Connection {self.id!r} holds {name!r}, which stages do not follow",
                    where="connection",
                    mend="write login and password, or leave 'connection' out: the process's own account is used then",
                )


def variable(connection: str) -> str:
    """The variable that holds a Connection.

    >>> variable("logs-s3")
    'TAO_CONNECTION_LOGS_S3'
    """
    return PREFIX + _name(connection)


def connection_ids(part: BaseModel) -> list[str]:
    """The ids of all Connections that stages need, as a YAML, or a part of it, names them.

    Raises:
        ConfigError: two of them would share a variable.
    """
    named = sorted(set(_named(part)))
    by_variable = {variable(one): one for one in named}
    for one in named:
        if by_variable[variable(one)] != one:
            raise ConfigError(
                f"the Connections {one!r} and {by_variable[variable(one)]!r} are told apart by too little",
                where="connection",
                mend="name one of them otherwise",
            )
    return named


def read_connection(id: str, environment: Mapping[str, str] | None = None) -> Connection:
    """A Connection from the environment: ``TAO_CONNECTION_<ID>``, else ``AIRFLOW_CONN_<ID>``.

    Either holds JSON or a URI, as Airflow writes them.

    Raises:
        ConfigError: neither is set, or it cannot be read.
    """
    values = os.environ if environment is None else environment
    found = next((name for name in (variable(id), _AIRFLOWS + _name(id)) if values.get(name)), None)
    if found is None:
        raise ConfigError(
            f"the Connection {id!r} is not known here",
            where=variable(id),
            mend="tasks of Airflow are handed it; elsewhere set this variable to its JSON or URI",
        )
    try:
        return _parsed(id, values[found].strip())
    except ValueError:  # its message would quote the secret
        mend = "write it as `airflow connections export` does: JSON, or a URI"
        raise ConfigError(f"the Connection {id!r} cannot be read", where=found, mend=mend) from None


def _name(connection: str) -> str:
    return re.sub(r"\W", "_", connection, flags=re.ASCII).upper()


def _named(part: Any) -> Iterator[str]:
    held: Iterable[Any] = ()
    if isinstance(part, BaseModel):
        if isinstance(named := getattr(part, "connection", None), str):
            yield named
        held = [value for name, value in part if name != "launch"]  # where a stage runs is not the stage's to know
    elif isinstance(part, Mapping):
        held = part.values()
    elif isinstance(part, list | tuple):
        held = part
    for one in held:
        yield from _named(one)


def _parsed(id: str, text: str) -> Connection:
    told = json.loads(text) if text.startswith("{") else _of_uri(text)
    extra = told.get("extra") or {}
    extra = json.loads(extra) if isinstance(extra, str) else extra
    if not isinstance(extra, dict):
        raise ValueError("extra is no mapping")
    return Connection(id, str(told.get("login") or ""), str(told.get("password") or ""), extra)


def _of_uri(uri: str) -> dict[str, Any]:
    """``type://login:password@host:port/schema?further=fields``, each part percent-encoded."""
    parts = urlsplit(uri)
    if not parts.scheme:
        raise ValueError("no URI")
    extra = dict(parse_qsl(parts.query, keep_blank_values=True))
    return {
        "login": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "extra": extra.get(_EXTRA, extra),
    }
