"""What is measured after each turn: the services' processes, the disk, the databases, the lake."""

import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from tao_ops.database import connect, sibling_url
from tao_ops.embedded_postgres import EmbeddedPostgres
from tao_ops.lake import open_lake
from tao_ops.local import processes
from tao_ops.local.state import Services
from tao_ops.settings import Settings
from tao_ops.stages import Stage
from tao_ops.tables import TABLES

Measures = Mapping[str, float]
"""By name, ``<what>.<unit>``."""

TOLERANCES = {"mib": 20.0, "handles": 5.0, "processes": 1.0, "threads": 3.0, "rows": 2.0, "files": 2.0, "seconds": 10.0}
"""A rise over all turns that is less is noise, by unit."""

BY_DESIGN = ("kept.", "lake.", "database.")
"""What grows with each turn, since it is kept: by the begin of a measure's name."""

POSTGRES = "postgres server"
_MIB = 1 << 20
_KEPT = {"lake": "lake", "mlflow": "mlflow-artifacts", "airflow's logs": "airflow/logs", "query logs": "logs"}
_LOOKS, _APART_S = 3, 1.0
_LEASES = ("lease_holders", "lease_reservations")


class Watch:
    """Measures the services of one home."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._url = _url(services.home)

    def measure(self) -> dict[str, float]:
        """All measures as they are now."""
        return {
            **self._of_processes(),
            **self._disk(),
            **self._databases(),
            **_lake(),
        }

    def _of_processes(self) -> dict[str, float]:
        """The smallest of some looks: the processes that parse a DAG file come and go."""
        least: dict[str, float] = {}
        for look in range(_LOOKS):
            time.sleep(_APART_S if look else 0)
            for name, of in self._processes():
                for unit, value in of.items():
                    key = f"{name}.{unit}"
                    least[key] = min(value, least.get(key, value))
        return least

    def _processes(self) -> Iterator[tuple[str, dict[str, float]]]:
        """Each service with all that it started; what belongs to none, such as a stage that was left behind."""
        every = {process.pid: process for process in processes.members(self._services.services, self._services.home)}
        for service in self._services.services:
            mine = family(service.pid)
            for one in mine:
                every.pop(one.pid, None)
            yield service.name, totals(mine)
        server = EmbeddedPostgres.start(self._services.home)
        pid = server.pid
        server.stop()
        mine = [] if pid is None else family(pid)
        for one in mine:
            every.pop(one.pid, None)
        yield POSTGRES, totals(mine)
        yield "left behind", {"processes": float(len(every))}

    def _disk(self) -> dict[str, float]:
        home = self._services.home
        told = {f"kept.{name}.mib": size(home / folder) for name, folder in _KEPT.items()}
        scratch = sum(1 for stage in Stage for _ in Path(tempfile.gettempdir()).glob(f"tao-{stage}-*"))
        return {**told, "home, the rest.mib": self._rest(), "scratch folders.files": float(scratch)}

    def _rest(self) -> float:
        """What is kept by none of the parts that grow by design, and is not PostgreSQL's."""
        home = self._services.home
        apart = {home / folder for folder in (*_KEPT.values(), "postgres")}
        parts = [*home.iterdir(), *(home / "airflow").iterdir()]
        return round(sum(size(part) for part in parts if part not in apart and part != home / "airflow"), 3)

    def _databases(self) -> dict[str, float]:
        told = {}
        with connect(self._url) as connection:
            for row in connection.execute(
                "select datname, pg_database_size(oid) as bytes from pg_database where not datistemplate"
            ).fetchall():
                told[f"database.{row['datname']}.mib"] = round(row["bytes"] / _MIB, 2)
            for table in _LEASES:
                row = connection.execute(f"select count(*) as n from {table}".encode()).fetchone()
                told[f"{table}.rows"] = float(row["n"]) if row else 0.0
        with connect(sibling_url(self._url, "airflow")) as connection:
            for row in connection.execute(
                "select relname, n_live_tup as n from pg_stat_user_tables where n_live_tup > 50 order by relname"
            ).fetchall():
                told[f"database.airflow.{row['relname']}.rows"] = float(row["n"])
        return told


def family(pid: int) -> list[psutil.Process]:
    """A process and its offspring."""
    with suppress(psutil.NoSuchProcess):
        leader = psutil.Process(pid)
        return [leader, *leader.children(recursive=True)]
    return []


def totals(found: list[psutil.Process]) -> dict[str, float]:
    """Memory, handles, processes and threads of all; one that ends meanwhile is left out."""
    told = {"mib": 0.0, "handles": 0.0, "processes": 0.0, "threads": 0.0}
    for process in found:
        with suppress(psutil.NoSuchProcess):
            # The proportional share: a page that four forks share counts a quarter for each.
            each = {"mib": process.memory_full_info().pss / _MIB, "handles": process.num_fds()}
            each |= {"processes": 1, "threads": process.num_threads()}
            told = {name: told[name] + each[name] for name in told}
    return {name: round(value, 1) for name, value in told.items()}


def size(folder: Path) -> float:
    """MiB of a file, or of all files below a folder; one that goes meanwhile is left out."""
    total = 0
    for path in [folder, *folder.rglob("*")]:
        with suppress(FileNotFoundError):
            stat = path.lstat()
            total += stat.st_size if path.is_file() else 0
    return round(total / _MIB, 3)


def _lake() -> dict[str, float]:
    lake, told = open_lake(Settings.from_env().lake), {}
    for table in TABLES.values():
        told[f"lake.{table.name}.version"] = float(lake.version(table) or 0)
        told[f"lake.{table.name}.rows"] = float(lake.count(table, flywheel="tickets"))
    return told


def _url(home: Path) -> str:
    server = EmbeddedPostgres.start(home)
    try:
        return server.url("tao")
    finally:
        server.stop()
