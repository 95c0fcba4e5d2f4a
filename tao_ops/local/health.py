"""Whether Airflow is up: all of it, and it is ours that answers."""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import httpx

from tao_ops.errors import ConfigError
from tao_ops.local import processes
from tao_ops.local.state import ServiceError, Services

START_SECONDS = 300
_COMPONENTS = ("scheduler", "triggerer", "dag_processor")


def wait_until_healthy(services: Services, began: float) -> None:
    """Wait for the health page to tell that all is well by heartbeats later than ``began`` (seconds since 1970).

    Raises:
        ServiceError: a service ended, or is not healthy in time.
        ConfigError: another process answers on our port.
    """
    poll(lambda: healthy(_health(services.url), began), services, "Airflow", limit_s=START_SECONDS)
    api_server = next(service for service in services.services if service.name == "api-server")
    if not processes.listens(api_server, services.port):
        raise ConfigError(
            f"{processes.listener(services.port)} answers on port {services.port} instead of our api-server",
            where="TAO_PORT",
            mend="stop it, or set TAO_PORT to a free port",
        )


def healthy(health: dict[str, Any], began: float) -> bool:
    """Whether the health page's JSON tells that the database and all services are well.

    A predecessor that was killed passes for healthy for half a minute: its heartbeats are before ``began``.
    """
    if (health.get("metadatabase") or {}).get("status") != "healthy":
        return False
    for name in _COMPONENTS:
        told = health.get(name) or {}
        beat = told.get(f"latest_{name}_heartbeat")
        if told.get("status") != "healthy" or not beat or datetime.fromisoformat(beat).timestamp() < began:
            return False
    return True


def poll(condition: Callable[[], bool], services: Services, what: str, *, limit_s: float) -> None:
    """Wait for ``condition`` as long as all services live.

    Raises:
        ServiceError: a service ended, or the time is over.
    """
    deadline = time.monotonic() + limit_s
    while not condition():
        services.require_alive()
        if time.monotonic() > deadline:
            raise ServiceError(f"{what} was not up after {limit_s:.0f} s", where=services.logs)
        time.sleep(0.2)


def _health(url: str) -> dict[str, Any]:
    try:
        answer = httpx.get(f"{url}/api/v2/monitor/health", timeout=10, trust_env=False).json()
    except (httpx.HTTPError, ValueError):
        return {}
    return answer if isinstance(answer, dict) else {}
