"""Which services run: the record ``<home>/services.json``."""

import fcntl
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tao_ops.errors import ConfigError, TaoError
from tao_ops.local.client import AirflowClient
from tao_ops.local.credentials import credentials
from tao_ops.local.environment import HOST, airflow_home
from tao_ops.local.processes import Service, tail
from tao_ops.local.signals import uninterrupted


class ServiceError(TaoError):
    """A service did not start, or ended."""


@dataclass(frozen=True)
class Services:
    """Services of one home, the first started first."""

    home: Path
    port: int
    services: tuple[Service, ...] = ()

    @property
    def url(self) -> str:
        """Address of Airflow's UI and REST API."""
        return f"http://{HOST}:{self.port}"

    @property
    def logs(self) -> Path:
        """Folder of the services' own logs."""
        return airflow_home(self.home) / "logs" / "services"

    def client(self) -> AirflowClient:
        """A REST client of the user ``admin``."""
        return AirflowClient(self.url, credentials(self.home).admin_password)

    def dead(self) -> list[str]:
        """Names of the services that no longer run."""
        return [service.name for service in self.services if not service.alive()]

    def require_alive(self) -> None:
        """Raise ``ServiceError`` with the end of its log where a service has ended."""
        if dead := self.dead():
            log = self.logs / f"{dead[0]}.log"
            raise ServiceError(f"{dead[0]} has ended", where=log, mend=tail(log, 3))

    def launch(self, name: str, start: Callable[[str, Path], Service]) -> "Services":
        """Start one more service with a fresh log, and record it before anything can interrupt."""
        log = self.fresh_log(name)
        with uninterrupted():
            more = replace(self, services=(*self.services, start(name, log)))
            told = {"port": more.port, "services": [asdict(service) for service in more.services]}
            fresh = record_file(self.home).with_suffix(".new")
            fresh.write_text(json.dumps(told, indent=1), encoding="utf-8")
            fresh.replace(record_file(self.home))
        return more

    def fresh_log(self, name: str) -> Path:
        """The log file of a service; that of its last start is kept beside it."""
        log = self.logs / f"{name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        if log.exists():
            log.replace(log.with_suffix(".log.1"))
        return log


def recorded(home: Path) -> Services | None:
    """What the last start recorded and no stop removed; its services may have ended since.

    Raises:
        ConfigError: the record is not one.
    """
    try:
        told = json.loads(record_file(home).read_text(encoding="utf-8"))
        return Services(home, told["port"], tuple(Service(**service) for service in told["services"]))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        raise ConfigError("not a record of services", where=record_file(home), mend="remove it") from None


def record_file(home: Path) -> Path:
    """Where the services of ``home`` are recorded."""
    return home / "services.json"


@contextmanager
def one_at_a_time(home: Path) -> Iterator[None]:
    """Let one process start or stop the services of ``home``.

    Raises:
        ConfigError: another one is at it.
    """
    home.mkdir(parents=True, exist_ok=True)
    with (home / "services.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                "the services are being started or stopped by another process",
                where=home,
                mend="wait for it to end",
            ) from None
        yield
