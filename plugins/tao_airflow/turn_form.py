"""The form of a flywheel's DAG: which turn, and what of the YAML is changed for this run alone."""

import json
from typing import Any

from airflow.sdk import Param

from tao_airflow.run_files import DAG_PREFIX
from tao_airflow.turn import PARAM
from tao_ops.config import Approval, Flywheel, Method, UpdateConfig, load_flywheel

CHANGES = {
    "budget": "generate.budget.tokens",
    "method": "update.method",
    "approval": "gate.approval",
    "dry_run": "dry_run",
}
"""The fields that change the YAML, in the order of the form, and the key that each changes."""

_DATE = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2})?(Z|[+-]\d{2}:?\d{2})?)?$"
_METHODS = {
    Method.RAFT: "raft: learns the best responses",
    Method.DPO: "dpo: learns from pairs, a better and a worse response",
    Method.KTO: "kto: learns from good and from bad responses",
    Method.GRPO_OFFLINE: "grpo_offline: compares a query's stored responses",
    Method.GRPO: "grpo: compares responses that the model in training samples itself",
}
_APPROVALS = {
    Approval.AUTO: "auto: the gate's promotion counts",
    Approval.MANUAL: "manual: a promotion waits for a person",
}


def form(flywheel: Flywheel) -> dict[str, Param]:
    """The fields; Airflow starts no run where one of them is wrong. Left as they come, the YAML counts."""
    return {
        PARAM: Param(
            None,
            type=["null", "string"],
            pattern=_DATE,
            title="Turn",
            description="The turn's start, as 2026-11-21 or 2026-11-21T00:00Z. Empty: the run's own interval, "
            "or the last complete one where the run has no date.",
        ),
        "budget": Param(
            None,
            type=["null", "integer"],
            exclusiveMinimum=0,  # with a minimum the form makes 1 of -5 without a word
            title="Budget",
            description="The most tokens that generate samples, over all shards. Empty: as the YAML says, "
            f"{_budget(flywheel)}.",
        ),
        "method": _choice(
            "Method",
            "How the update learns. Only methods that the rest of the YAML fits are offered.",
            flywheel.update.method,
            {one.value: _METHODS[one] for one in methods(flywheel)},
        ),
        "approval": _choice(
            "Approval",
            "Who has the last word on a promotion.",
            flywheel.gate.approval,
            {one.value: _APPROVALS[one] for one in Approval},
        ),
        "dry_run": Param(
            flywheel.dry_run,
            type="boolean",
            title="Dry run",
            description="The whole turn runs, its verdict and its version are recorded, but the champion stays and "
            "nobody is asked.",
        ),
    }


def methods(flywheel: Flywheel) -> list[Method]:
    """The update's methods that the rest of the flywheel's ``update`` goes with."""
    return [one for one in Method if _fits(flywheel.update, one)]


def overrides(context: Any) -> list[str]:
    """What the form of a task's run changes of the YAML, as ``tao --set`` takes it; what it says already is left out.

    Raises:
        ConfigError: the flywheel's YAML is wrong by now.
    """
    given = context.get("params") or {}
    asked = {key: given[field] for field, key in CHANGES.items() if given.get(field) is not None}
    if not asked:
        return []
    flywheel = load_flywheel(context["dag_run"].dag_id.removeprefix(DAG_PREFIX))
    return [f"{key}={_written(value)}" for key, value in asked.items() if value != _now(flywheel, key)]


def _choice(title: str, description: str, now: str, labels: dict[str, str]) -> Param:
    return Param(
        None,
        type=["null", "string"],
        enum=[None, *labels],
        values_display={"null": f"as the YAML says: {now}", **labels},
        title=title,
        description=description,
    )


def _fits(update: UpdateConfig, method: Method) -> bool:
    from pydantic import ValidationError

    try:
        UpdateConfig.model_validate({**update.model_dump(), "method": method})
    except ValidationError:
        return False
    return True


def _budget(flywheel: Flywheel) -> str:
    budget = flywheel.generate.budget
    tokens = "no limit" if budget is None or budget.tokens is None else f"{budget.tokens:,} tokens"
    return tokens if budget is None or budget.samples is None else f"{tokens}, and {budget.samples:,} responses"


def _now(flywheel: Flywheel, key: str) -> Any:
    """What the YAML says; None where it says nothing."""
    place: Any = flywheel
    for part in key.split("."):
        place = getattr(place, part, None)
    return place


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
