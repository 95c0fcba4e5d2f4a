"""The services of one machine: PostgreSQL and Airflow's four, started together, stopped without remains."""

import errno
import os
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from tao_ops.database import DATABASE, sibling_url
from tao_ops.embedded_postgres import EmbeddedPostgres
from tao_ops.errors import ConfigError
from tao_ops.local import processes
from tao_ops.local.credentials import credentials
from tao_ops.local.environment import HOST, port, service_environment
from tao_ops.local.health import poll, wait_until_healthy
from tao_ops.local.keep_database import READY
from tao_ops.local.migration import migrate
from tao_ops.local.processes import Service
from tao_ops.local.signals import uninterrupted
from tao_ops.local.state import Services, one_at_a_time, record_file, recorded
from tao_ops.settings import PROJECT, Settings

STOP_SECONDS = 15.0
DATABASE_SECONDS = 150.0
POOLS = {"gpu": 1}
KEEPER, API_SERVER = "postgres", "api-server"
Say = Callable[[str], None]


def up(settings: Settings, say: Say = print) -> tuple[Services, bool]:
    """Start the services unless they run; returns them and whether this call started them.

    Raises:
        ConfigError: the port is taken.
        ServiceError: a service ended or was not healthy in time; all have been stopped again.
    """
    with one_at_a_time(settings.home):
        found = recorded(settings.home)
        if found and not found.dead():
            return found, False
        if found:
            say(f"stopping what is left of an earlier start: {', '.join(found.dead())} ended")
            _stop(found)
        return _start(settings, port(), say), True


def down(home: Path) -> bool:
    """Stop every service and all that they started; False where none ran."""
    with one_at_a_time(home):
        found = recorded(home) or Services(home, 0)
        ran = len(found.dead()) < len(found.services)
        _stop(found)
        return ran


def require_free(number: int) -> None:
    """Raise ``ConfigError`` where ``number`` is not a port that we can listen on."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, number))
        except OSError as error:
            used = error.errno == errno.EADDRINUSE
            why = f"is in use by {processes.listener(number)}" if used else f"cannot be used: {error.strerror}"
            raise ConfigError(
                f"port {number} {why}", where="TAO_PORT", mend="stop it, or set TAO_PORT to a free port"
            ) from None


def _start(settings: Settings, number: int, say: Say) -> Services:
    require_free(number)
    services, began, made = Services(settings.home, number), time.time(), credentials(settings.home)
    try:
        url = settings.database_url
        if url is None:
            services = services.launch(KEEPER, partial(_keep_database, settings.home))
            url = _database_url(services)
        env = service_environment(settings, url, made, number)
        migrate(services, env, sibling_url(url, "airflow"), say)
        for name, arguments in _airflow(number).items():
            services = services.launch(name, partial(_run_airflow, arguments, env))
        wait_until_healthy(services, began)
        with services.client() as client:
            for name, slots in POOLS.items():
                client.ensure_pool(name, slots)
        say(f"Airflow and PostgreSQL are up ({time.time() - began:.0f} s)")
    except BaseException:
        # Read again: what was launched last may not have been assigned here.
        _stop(recorded(settings.home) or services)
        raise
    return services


def _airflow(number: int) -> dict[str, list[str]]:
    # All services share a disk, so tasks' logs are read from it and no port serves them.
    return {
        API_SERVER: ["api-server", "--host", HOST, "--port", str(number), "--workers", "1"],
        "scheduler": ["scheduler", "--skip-serve-logs"],
        "dag-processor": ["dag-processor"],
        "triggerer": ["triggerer", "--skip-serve-logs"],
    }


def _run_airflow(arguments: Sequence[str], env: Mapping[str, str], name: str, log: Path) -> Service:
    return processes.start(name, [sys.executable, "-m", "airflow", *arguments], env, log)


def _keep_database(home: Path, name: str, log: Path) -> Service:
    path = [str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
    return processes.start(name, [sys.executable, "-m", "tao_ops.local.keep_database", str(home)], env, log)


def _database_url(services: Services) -> str:
    log = services.logs / f"{KEEPER}.log"
    poll(lambda: READY in processes.tail(log), services, "PostgreSQL", limit_s=DATABASE_SECONDS)
    server = EmbeddedPostgres.start(services.home)
    try:
        return server.url(DATABASE)
    finally:
        server.stop()


def _stop(services: Services) -> None:
    """First what runs tasks, then the server that the tasks report their end to, PostgreSQL last."""
    api_server = [service for service in services.services if service.name == API_SERVER]
    keepers = [service for service in services.services if service.name == KEEPER]
    others = [service for service in services.services if service.name not in (API_SERVER, KEEPER)]
    with uninterrupted():
        processes.stop([others, api_server], services.home, grace_s=STOP_SECONDS)
        for keeper in keepers:
            # Its server is never killed: a watcher stops it as soon as nobody uses it.
            processes.end_leader(keeper, grace_s=DATABASE_SECONDS)
        record_file(services.home).unlink(missing_ok=True)
