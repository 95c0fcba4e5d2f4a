"""What the health page must tell before the services count as up."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tao_ops.local.health import healthy

BEGAN = datetime(2026, 11, 21, 12, 0, tzinfo=UTC).timestamp()


def page(**changes: Any) -> dict[str, Any]:
    told: dict[str, Any] = {"metadatabase": {"status": "healthy"}}
    for name in ("scheduler", "triggerer", "dag_processor"):
        told[name] = {"status": "healthy", f"latest_{name}_heartbeat": "2026-11-21T12:00:05+00:00"}
    return {**told, **changes}


def test_all_must_be_healthy_by_heartbeats_of_this_start() -> None:
    assert healthy(page(), BEGAN)


@pytest.mark.parametrize(
    "changes",
    [
        {"metadatabase": {"status": "unhealthy"}},
        {"scheduler": {"status": "unhealthy", "latest_scheduler_heartbeat": "2026-11-21T12:00:05+00:00"}},
        {"scheduler": {"status": "healthy", "latest_scheduler_heartbeat": "2026-11-21T11:59:50+00:00"}},
        {"triggerer": {"status": None, "latest_triggerer_heartbeat": None}},
    ],
)
def test_a_dead_database_or_service_a_predecessors_heartbeat_and_none_at_all_do_not_pass(
    changes: dict[str, Any],
) -> None:
    assert not healthy(page(**changes), BEGAN)


def test_no_answer_is_not_healthy() -> None:
    assert not healthy({}, BEGAN)
