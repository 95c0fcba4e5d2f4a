"""Airflow's REST API, as much of it as following a run needs."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from tao_ops.errors import TaoError
from tao_ops.local.credentials import ADMIN
from tao_ops.turn import new_run_id

ATTEMPTS = 5


class AirflowError(TaoError):
    """Airflow refused a request, or does not answer."""


@dataclass(frozen=True)
class LogLine:
    """One line of a task's log."""

    text: str
    logger: str
    level: str

    @property
    def of_stage(self) -> bool:
        """Whether the stage's process wrote it."""
        return self.logger.endswith("StageOperator")


class AirflowClient:
    """A client that logs in as ``admin``; a server that is busy or restarting is asked a few times."""

    def __init__(self, url: str, password: str, transport: httpx.BaseTransport | None = None) -> None:
        self._http = httpx.Client(base_url=url, timeout=30, trust_env=False, transport=transport)
        self._password = password

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def ensure_pool(self, name: str, slots: int) -> None:
        """Make a pool where it is missing; an existing one keeps its size."""
        self.ask("POST", "pools", json={"name": name, "slots": slots}, accept=(201, 409))

    def dag(self, dag_id: str) -> dict[str, Any] | None:
        """The DAG, or None where no file has made it yet."""
        answer = self.ask("GET", f"dags/{dag_id}", accept=(200, 404))
        return None if answer.status_code == 404 else dict(answer.json())

    def unpause(self, dag_id: str) -> None:
        """Let the DAG be scheduled."""
        self.ask("PATCH", f"dags/{dag_id}", json={"is_paused": False})

    def import_errors(self) -> list[str]:
        """The last line of every file's import error."""
        errors = self.ask("GET", "importErrors").json()["import_errors"]
        return [f"{error['filename']}: {error['stack_trace'].strip().splitlines()[-1]}" for error in errors]

    def runs(self, dag_id: str, limit: int = 50) -> list[dict[str, Any]]:
        """The newest runs, newest first."""
        parameters = {"order_by": "-run_after", "limit": limit}
        return list(self.ask("GET", f"dags/{dag_id}/dagRuns", params=parameters).json()["dag_runs"])

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """One run."""
        return dict(self.ask("GET", f"dags/{dag_id}/dagRuns/{quote(run_id, safe='')}").json())

    def trigger(self, dag_id: str, *, conf: Mapping[str, Any], note: str) -> str:
        """Start a run without a date and return its id: as many as one likes may be attempts at the same turn."""
        # Its id is chosen here, so that a request whose answer was lost starts no second run when it is repeated.
        run_id = new_run_id()
        body = {"dag_run_id": run_id, "logical_date": None, "conf": dict(conf), "note": note}
        self.ask("POST", f"dags/{dag_id}/dagRuns", json=body, accept=(200, 409))
        return run_id

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """The run's task instances."""
        path = f"dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances"
        found: list[dict[str, Any]] = []
        while True:
            page = self.ask("GET", path, params={"limit": 100, "offset": len(found)}).json()
            found += page["task_instances"]
            if len(found) >= page["total_entries"] or not page["task_instances"]:
                return found

    def log(self, dag_id: str, run_id: str, task: Mapping[str, Any]) -> list[LogLine]:
        """The log of a task's newest attempt, without Airflow's notes on where it lies; empty before it started."""
        path = f"dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances/{task['task_id']}/logs/"
        answer = self.ask(
            "GET",
            f"{path}{max(1, task['try_number'])}",
            params={"map_index": task["map_index"], "full_content": True},
            headers={"Accept": "application/json"},
            accept=(200, 404),
        )
        content = answer.json().get("content", []) if answer.status_code == 200 else []
        lines = (LogLine(_text(line), line.get("logger", ""), line.get("level", "")) for line in content)
        return [line for line in lines if line.level and not line.text.startswith("::")]

    def ask(self, method: str, path: str, *, accept: tuple[int, ...] = (200,), **kwargs: Any) -> httpx.Response:
        """One request below ``/api/v2/``; tokens, and servers that are busy for a moment, are seen to.

        Raises:
            AirflowError: the answer's status is not in ``accept``, or there was none.
        """
        problem = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(min(0.5 * 2**attempt, 5))
            try:
                if "Authorization" not in self._http.headers:
                    self._log_in()
                answer = self._http.request(method, f"/api/v2/{path}", **kwargs)
            except httpx.TransportError as error:
                problem = f"{type(error).__name__}: {error}"
                continue
            if answer.status_code in accept:
                return answer
            problem = f"{answer.status_code} {answer.text[:300]}"
            if answer.status_code == 401:
                self._http.headers.pop("Authorization", None)
            elif answer.status_code < 500:
                break
        raise AirflowError(f"{method} {path}: {problem}", where=str(self._http.base_url))

    def _log_in(self) -> None:
        answer = self._http.post("/auth/token", json={"username": ADMIN, "password": self._password})
        if answer.status_code != 201:
            raise AirflowError(f"no token for {ADMIN!r}: {answer.status_code}", where=str(self._http.base_url))
        self._http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"


def _text(line: Mapping[str, Any]) -> str:
    """What a line says, with the message of the exception that it reports."""
    values = [detail["exc_value"] for detail in line.get("error_detail") or [] if detail.get("exc_value")]
    return ": ".join([line["event"], *values[:1]])
