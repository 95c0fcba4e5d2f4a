"""The environment of Airflow's services on one machine: every setting that differs from its default."""

import os
import re
import socket
from pathlib import Path

from tao_ops.database import ensure_database, sibling_url, with_driver
from tao_ops.errors import ConfigError
from tao_ops.local.credentials import ADMIN, Credentials, write_passwords
from tao_ops.settings import PROJECT, Settings
from tao_ops.telemetry import quiet_environment

HOST = "127.0.0.1"
DEFAULT_PORT = 8080
MARK = "TAO_SERVICES_OF"
"""In the environment of every process of these services: the home they belong to."""


def port() -> int:
    """The UI's port, from ``TAO_PORT``.

    Raises:
        ConfigError: it is not a port's number.
    """
    text = os.environ.get("TAO_PORT") or str(DEFAULT_PORT)
    if not re.fullmatch(r"\d{1,5}", text) or not 0 < int(text) < 65536:
        raise ConfigError(f"{text!r} is not a port", where="TAO_PORT", mend="set it to a number from 1 to 65535")
    return int(text)


def empty_home(home: Path) -> dict[str, str]:
    """This process's environment for a throw-away home: an embedded server, a free port, the model of this cache.

    Nothing of the user's own installation is in it: a turn there must not move a real champion.
    """
    with socket.create_server((HOST, 0)) as free:
        number = free.getsockname()[1]
    kept = {n: value for n, value in os.environ.items() if n == "TAO_PYTHON" or not n.startswith("TAO_")}
    return kept | {"TAO_HOME": str(home), "TAO_PORT": str(number), "TAO_CACHE": str(Settings.from_env().cache)}


def airflow_home(home: Path) -> Path:
    """Airflow's own folder below ``TAO_HOME``."""
    return home / "airflow"


def service_environment(settings: Settings, database_url: str, made: Credentials, ui_port: int) -> dict[str, str]:
    """This process's environment with all that the services need; their databases are made where missing.

    ``database_url`` is that of the database ``tao``; Airflow's own is its sibling ``airflow``.
    """
    airflow_url = sibling_url(database_url, "airflow")
    for url in (database_url, airflow_url):
        ensure_database(url)
    home = airflow_home(settings.home)
    passwords = home / "passwords.json"
    write_passwords(passwords, made)
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")},
        **quiet_environment(),
        **_of_the_flywheels(settings, database_url, made),
        **_of_airflow(home, airflow_url, made, ui_port),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
    }


def _of_the_flywheels(settings: Settings, database_url: str, made: Credentials) -> dict[str, str]:
    local = ",".join(filter(None, [os.environ.get("NO_PROXY") or os.environ.get("no_proxy"), HOST, "localhost"]))
    return {
        MARK: str(settings.home),
        "TAO_HOME": str(settings.home),
        "TAO_LAKE": settings.lake,
        "TAO_INCLUDE": str(settings.include),
        "TAO_DATABASE_URL": database_url,
        "TAO_HASH_KEY": settings.hash_key or made.hash_key,
        "PYTHONPATH": os.pathsep.join([str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])]),
        # Airflow's own, in every task's log otherwise, besides what is told to all libraries.
        "PYTHONWARNINGS": f"{quiet_environment()['PYTHONWARNINGS']},ignore:GitWildMatchPattern:DeprecationWarning",
        "NO_PROXY": local,
        "no_proxy": local,
    }


def _of_airflow(home: Path, url: str, made: Credentials, ui_port: int) -> dict[str, str]:
    base = f"http://{HOST}:{ui_port}"
    sections: dict[str, dict[str, object]] = {
        "core": {
            "dags_folder": PROJECT / "dags",
            "plugins_folder": PROJECT / "plugins",
            "load_examples": False,
            "executor": "LocalExecutor",
            "parallelism": 4,
            "simple_auth_manager_users": f"{ADMIN}:admin",
            "execution_api_server_url": f"{base}/execution/",
        },
        "database": {
            "sql_alchemy_conn": with_driver(url, "psycopg2"),
            "sql_alchemy_conn_async": with_driver(url, "asyncpg"),
        },
        "api": {
            "host": HOST,
            "port": ui_port,
            "base_url": base,
            "workers": 1,
            "secret_key": made.api_secret_key,
        },
        "api_auth": {"jwt_secret": made.jwt_secret},
        "logging": {"base_log_folder": home / "logs"},
        "dag_processor": {"refresh_interval": 5, "min_file_process_interval": 10, "parsing_processes": 1},
        "scheduler": {
            "scheduler_idle_sleep_time": 0.1,
            # A killed scheduler's tasks are taken over after seconds, not minutes.
            "orphaned_tasks_check_interval": 15,
            "task_instance_heartbeat_timeout": 120,
        },
        # An XCom whose answer is late was written: sent again it is refused as double, and the task starts over.
        # An api-server that is started again within two minutes costs no stage its work; Airflow waits half a minute.
        "workers": {"execution_api_timeout": 60, "max_failed_heartbeats": 12},
        "usage_data_collection": {"enabled": False},
    }
    return {"AIRFLOW_HOME": str(home)} | {
        f"AIRFLOW__{section}__{key}".upper(): str(value)
        for section, values in sections.items()
        for key, value in values.items()
    }
