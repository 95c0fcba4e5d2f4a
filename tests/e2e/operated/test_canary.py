"""A canary in a real Airflow: what its users got makes it the champion, or fails the turn; no worker is held.

The stages before ``gate`` are a stand-in, which leaves the scores of two models, and so are the servers: their counts
and standing are written as they write them. Gate, register, the registry and both waits are real.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tao_ops.database import connect, database
from tao_ops.local.client import AirflowClient
from tao_ops.local.follow import UNFINISHED
from tao_ops.registry import open_registry
from tao_ops.serve import servers
from tao_ops.serve.canary import record as canaries
from tao_ops.serve.canary.counts import Counts
from tao_ops.serve.exchange import Arm
from tao_ops.serve.servers import ServerState, Standing
from tao_ops.settings import Settings
from tests.e2e.operated.watching import eventually, first_run

GOOD = Counts(requests=20, judged=20, answers=20, tokens=600, squares=20_000, seconds=Counter({40: 20}))
CANDIDATES = {"careful": GOOD, "wary": replace(GOOD, requests=200, errors=100)}


def states(client: AirflowClient, name: str, run_id: str) -> dict[str, str]:
    return {task["task_id"]: task["state"] for task in client.tasks(f"flywheel_{name}", run_id)}


def told(client: AirflowClient, name: str, run_id: str, task_id: str) -> str:
    """A task's log."""
    dag_id = f"flywheel_{name}"
    task = next(each for each in client.tasks(dag_id, run_id) if each["task_id"] == task_id)
    return "\n".join(line.text for line in client.log(dag_id, run_id, task))


def beat(url: str, name: str, version: int) -> None:
    """A server of the flywheel tells what it serves."""
    standing = Standing(f"{name}-1", name, "http://h", "h", 7, ServerState.SERVING, datetime.now(UTC), version)
    with connect(url) as connection:
        servers.ensure_tables(connection)
        servers.beat(connection, standing)


def count(url: str, registry: Any, name: str) -> None:
    """A server tells what it has counted of both arms."""
    running = registry.canary(name)
    with connect(url) as connection:
        arms = {Arm.CHAMPION: replace(GOOD, requests=1800), Arm.CANDIDATE: CANDIDATES[name]}
        canaries.put_counts(connection, running.id, f"{name}-1", arms)


@pytest.mark.timeout(1500)
def test_a_canary_grows_or_fails_the_turn_and_servers_are_waited_for(
    client: AirflowClient, with_flywheels: Callable[[Mapping[str, Any]], None]
) -> None:
    canary = {"serve": {"canary": {"time": "1s", "requests": 10}, "deployed": "10m"}, "evaluate": {"control": None}}
    with_flywheels(dict.fromkeys(CANDIDATES, canary))
    settings = Settings.from_env()
    with database(settings) as url:
        registry, runs = open_registry(url, settings), {}
        for name in CANDIDATES:
            runs[name] = first_run(client, f"flywheel_{name}")
        for name, run_id in runs.items():
            beat(url, name, 0)
            # Between two looks it holds neither a worker nor a slot.
            eventually(
                lambda name=name, run_id=run_id: states(client, name, run_id).get("canary") == "up_for_reschedule"
            )
            assert states(client, name, run_id)["release"] == "skipped"
            assert registry.champion_version(name) == 0
            count(url, registry, name)

        eventually(lambda: registry.champion_version("careful") == 1)
        eventually(
            lambda: (
                beat(url, "careful", 0) or states(client, "careful", runs["careful"])["deployed"] == "up_for_reschedule"
            )
        )
        assert "0 of 1 servers serve version 1; careful-1 serving version 0" in told(
            client, "careful", runs["careful"], "deployed"
        )
        eventually(
            lambda: (
                beat(url, "careful", 1) or client.run("flywheel_careful", runs["careful"])["state"] not in UNFINISHED
            )
        )
        assert client.run("flywheel_careful", runs["careful"])["state"] == "success"
        assert {states(client, "careful", runs["careful"])[task] for task in ("canary", "deployed")} == {"success"}
        events = client.ask("GET", "assets/events", params={"limit": 100, "order_by": "-timestamp"}).json()[
            "asset_events"
        ]
        assert [
            (one["source_task_id"], one["extra"]["version"], one["extra"]["who"])
            for one in events
            if one["name"] == "careful/model"
        ] == [("canary", 1, "canary")]

        eventually(lambda: client.run("flywheel_wary", runs["wary"])["state"] not in UNFINISHED)
        assert client.run("flywheel_wary", runs["wary"])["state"] == "failed"
        assert states(client, "wary", runs["wary"])["canary"] == "failed"
        assert states(client, "wary", runs["wary"])["deployed"] == "upstream_failed"
        why = told(client, "wary", runs["wary"], "canary")
        assert "was rolled back: errors: 50.0 % of 200, champion 0.0 % of 1,800" in why
        assert registry.champion_version("wary") == 0
