"""The Connections that a flywheel's YAML names, out of Airflow's secrets and into the environment of its stages."""

from typing import Any

from airflow.sdk.exceptions import AirflowFailException, AirflowNotFoundException

from tao_ops.config import load_flywheel
from tao_ops.config.connections import connection_ids, variable
from tao_ops.errors import ConfigError


def handed_over(flywheel: str) -> dict[str, str]:
    """``TAO_CONNECTION_<ID>`` of each Connection that a flywheel's YAML names, as JSON.

    Raises:
        AirflowFailException: there is no such Connection, two could be mistaken for one, or the YAML is wrong.
    """
    try:
        return {
            variable(name): found(name, "flywheel's YAML: connection").as_json()
            for name in connection_ids(load_flywheel(flywheel))
        }
    except ConfigError as error:
        raise AirflowFailException(f"error: {error}") from None


def found(name: str, where: str) -> Any:
    """The Connection ``name``, which ``where`` names.

    Raises:
        AirflowFailException: there is none.
    """
    from airflow.sdk import Connection  # not while the DAG is parsed: it brings the providers' manager along

    try:
        return Connection.get(name)
    except AirflowNotFoundException:
        raise AirflowFailException(
            f"error: there is no Connection {name!r} [{where}] — "
            "make it under Admin, Connections, or in the secrets backend"
        ) from None
