"""MLflow on our PostgreSQL server, in its database ``mlflow``: how it is opened, and how it says no.

It is imported at the first use: that takes seconds.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tao_ops.database import advisory_lock, connect, ensure_database, readable_url, sibling_url, with_driver
from tao_ops.errors import RegistryError
from tao_ops.telemetry import quiet

DATABASE = "mlflow"


class MlflowServer:
    """MLflow's tracking store and model registry beside a database of ours; opened at the first use."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._opened: Any = None

    @property
    def where(self) -> str:
        """Its database, as an error names it."""
        return readable_url(sibling_url(self._url, DATABASE))

    @contextmanager
    def client(self) -> Iterator[Any]:
        """MLflow's own client.

        Raises:
            RegistryError: MLflow failed, here or in what is done with it, or the server cannot be reached.
        """
        quiet()
        try:
            from mlflow.exceptions import MlflowException
        except ModuleNotFoundError:
            mend = "ask by tao, in the environment of the stages"
            raise RegistryError("MLflow is not installed here", where=self.where, mend=mend) from None
        try:
            yield self._client()
        except MlflowException as error:
            raise RegistryError(f"MLflow failed: {str(error).splitlines()[0]}", where=self.where) from error

    def _client(self) -> Any:
        if self._opened is None:
            from mlflow.tracking import MlflowClient

            logging.getLogger("mlflow").setLevel(logging.WARNING)
            logging.getLogger("alembic").setLevel(logging.WARNING)
            # Asked first, because MLflow tries a server that is not there for minutes.
            ensure_database(sibling_url(self._url, DATABASE))
            uri = with_driver(sibling_url(self._url, DATABASE), "psycopg")
            # MLflow makes or migrates its tables on the way, and its own lock is for one machine only.
            with connect(self._url) as connection, advisory_lock(connection, "mlflow schema", seconds=120):
                client = MlflowClient(tracking_uri=uri, registry_uri=uri)
                client.get_experiment_by_name("Default")
                client.search_registered_models(max_results=1)
            self._opened = client
        return self._opened


def run_of(client: Any, run: str) -> Any:
    """The MLflow run, or None where it was deleted, or is another server's."""
    found = or_none(lambda: client.get_run(run))
    return found if found is not None and found.info.lifecycle_stage == "active" else None


def or_none(ask: Callable[[], Any]) -> Any:
    """What MLflow answers; None where it has no such thing."""
    from mlflow.exceptions import MlflowException

    try:
        return ask()
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None


def unless_there(make: Callable[[], Any]) -> None:
    """Make something that may be there already."""
    from mlflow.exceptions import MlflowException

    try:
        make()
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def quoted(text: str) -> str:
    """A text in one of MLflow's filters.

    >>> print(quoted("it's"))
    "it's"
    """
    # They know no escape; a name with both kinds of quotes is none of ours.
    return f"'{text}'" if "'" not in text else f'"{text}"'
