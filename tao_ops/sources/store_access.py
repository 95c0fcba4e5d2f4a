"""How an object store is signed in to by a Connection of Airflow, as its providers for Amazon and Google keep it."""

import json
import os
from typing import Any

from tao_ops.config.connections import Connection, read_connection
from tao_ops.errors import ConfigError, DataError

ALIASES = {"s3a": "s3", "gcs": "gs"}

_OTHER_ACCOUNTS = {
    "s3": ("role_arn", "profile_name", "assume_role_method"),
    "gs": ("impersonation_chain", "key_secret_name", "credential_config_file"),
}
"""Further fields that lead to an account other than the one that the Connection holds itself."""


def scheme_of(path: str) -> str:
    """The kind of place of a path: ``s3``, ``gs``, …; of a local one it is the path itself."""
    scheme = path.split("://", maxsplit=1)[0]
    return ALIASES.get(scheme, scheme)


def filesystem_options(path: str, connection: str | None) -> dict[str, Any]:
    """What fsspec's file system for ``path`` is made with, so that it signs in by the Connection.

    Raises:
        ConfigError: the Connection is not known, or holds what is not followed.
        DataError: the path is in no store that is signed in to.
    """
    found = _connection(path, connection)
    if found is None:
        return {}
    if scheme_of(path) == "gs":
        return _given(token=_service_account(found), project=found.extra.get("project"))
    given = _given(key=found.login, secret=found.password, token=found.extra.get("aws_session_token"))
    if endpoint := _endpoint(found):
        given["endpoint_url"] = endpoint
    if region := found.extra.get("region_name"):
        given["client_kwargs"] = {"region_name": region}
    return given


def delta_options(path: str, connection: str | None) -> dict[str, str]:
    """The same for the Delta library, which has names of its own.

    Raises:
        ConfigError: the Connection is not known, or holds what is not followed.
        DataError: the path is in no store that is signed in to.
    """
    found = _connection(path, connection)
    if found is not None and scheme_of(path) == "gs":
        account = _service_account(found)
        return (
            {"google_service_account_key": json.dumps(account)}
            if isinstance(account, dict)
            else _given(google_service_account=account)
        )
    endpoint = (_endpoint(found) if found is not None else "") or os.environ.get("AWS_ENDPOINT_URL", "")
    plain = {"allow_http": "true"} if endpoint.startswith("http://") else {}
    if found is None:
        return plain
    return plain | _given(
        aws_access_key_id=found.login,
        aws_secret_access_key=found.password,
        aws_session_token=found.extra.get("aws_session_token"),
        aws_region=found.extra.get("region_name"),
        aws_endpoint_url=_endpoint(found),
    )


def _connection(path: str, id: str | None) -> Connection | None:
    if id is None:
        return None
    others = _OTHER_ACCOUNTS.get(scheme_of(path))
    if others is None:
        raise DataError("a Connection signs in to s3:// and gs:// only", where=path, mend="leave 'connection' out")
    found = read_connection(id)
    found.refuse(*others)
    return found


def _given(**options: Any) -> dict[str, Any]:
    """Those that have a value: without one the library looks for the process's own account."""
    return {name: value for name, value in options.items() if value}


def _endpoint(found: Connection) -> str:
    """Of a store that is not Amazon's own; the provider keeps it per service, or for all of them."""
    services = found.extra.get("service_config")
    s3 = services.get("s3") if isinstance(services, dict) else None
    own = s3.get("endpoint_url") if isinstance(s3, dict) else None
    return str(own or found.extra.get("endpoint_url") or "")


def _service_account(found: Connection) -> dict[str, Any] | str | None:
    """Google's key: as a mapping, or the path of its file."""
    key = found.extra.get("keyfile_dict")
    if isinstance(key, str) and key:
        try:
            key = json.loads(key)
        except ValueError:  # its message would quote the key
            what, mend = f"the Connection {found.id!r} has no key in 'keyfile_dict'", "put the key's JSON there"
            raise ConfigError(what, where="connection", mend=mend) from None
    return key or found.extra.get("key_path") or None
