"""Airflow's own database: brought up to date where it is not."""

import json
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib.metadata import version

from tao_ops.database import connect
from tao_ops.launch.process import Process
from tao_ops.local.environment import airflow_home
from tao_ops.local.state import ServiceError, Services

LIMIT_SECONDS = 300


def migrate(services: Services, env: Mapping[str, str], url: str, say: Callable[[str], None]) -> None:
    """Migrate the database at ``url``, unless it is where the last migration of this Airflow left it.

    Raises:
        ServiceError: the migration failed.
    """
    mark, airflow = airflow_home(services.home) / "migrated.json", version("apache-airflow-core")
    with suppress(OSError, ValueError):
        if json.loads(mark.read_text(encoding="utf-8")) == {"airflow": airflow, "revision": _revision(url)}:
            return
    began = time.monotonic()
    log = services.fresh_log("migrate")
    with log.open("w", encoding="utf-8") as file:
        process = Process([sys.executable, "-m", "airflow", "db", "migrate"], env=env)
        outcome = process.follow(lambda line: print(line, file=file, flush=True), limit_s=LIMIT_SECONDS)
    if outcome.code:
        raise ServiceError("Airflow's database could not be prepared", where=log, mend=" ".join(outcome.tail[-3:]))
    mark.write_text(json.dumps({"airflow": airflow, "revision": _revision(url)}), encoding="utf-8")
    say(f"Airflow's database is prepared ({time.monotonic() - began:.0f} s)")


def _revision(url: str) -> str | None:
    with connect(url) as connection:
        there = connection.execute("select to_regclass('alembic_version') as it").fetchone()
        if there is None or there["it"] is None:
            return None
        row = connection.execute("select version_num from alembic_version").fetchone()
        return str(row["version_num"]) if row else None
