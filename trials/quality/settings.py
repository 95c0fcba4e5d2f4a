"""What is measured: seeds, days, the methods with their settings, and the YAML that each cell runs."""

import copy
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import yaml

from tao_ops.settings import PROJECT

FLYWHEEL = TASK = "tickets"
INCLUDE = PROJECT / "include"
SHAPES = ("benchmarks/tickets", "example", "prompts/tickets", "expectations")
"""Folders of :data:`INCLUDE` whose content shapes the figures."""
SEEDS = (1, 2, 3)
TURNS = (1, 2, 3)
TODAY = date(2025, 11, 8)
"""The day after the logs' week. Fixed: a turn's date is a part of its seed."""

TRAINING: Mapping[str, Any] = {
    "min_reward": 0.6,
    "precision": "bf16",
    "epochs": 3,
    "learning_rate": 1e-3,
    "lora_rank": 16,
    "lora_alpha": 32,
    "watch": {"checkpoints": 2, "queries": 16},
}
"""What all methods share unless one of them has its own."""
_GROUPS: Mapping[str, Any] = {"method": "grpo_offline", "group": 4, "batch_size": 16, "epochs": 2}
METHODS: Mapping[str, Mapping[str, Any]] = {
    "raft": {"method": "raft"},
    "raft, unweighted": {"method": "raft", "weighted": False},
    "dpo": {"method": "dpo", "learning_rate": 5e-4, "pairs": 1},
    "kto": {"method": "kto", "learning_rate": 5e-4, "pairs": 2, "epochs": 2},
    "grpo_offline": {**_GROUPS, "correction": "mask"},
    "grpo_offline, clipped": {**_GROUPS, "correction": "clip"},
    "grpo_offline, uncorrected": {**_GROUPS, "correction": "none"},
    "raft, then grpo": {
        "method": "raft",
        "weighted": False,
        "then": "grpo",
        "sampler": {"steps": 10, "queries": 4, "samples": 4, "learning_rate": 1e-4},
    },
}
"""The part ``update`` of the YAML, by the method's name in the table."""
STARTS: Mapping[str, Mapping[str, Any]] = {
    "the champion, this turn": {"start": "champion", "window": 1},
    "the base, three turns": {"start": "base", "window": 3},
}
"""Where turn three's training begins and on what, beside the flywheel's own ``update``."""
SAMPLES = (2, 4, 8, 16)
"""Responses of each query, of the ablation."""


def day(turn: int) -> str:
    """The date of a turn, the last of which is the week's last day: ``2025-11-05`` for turn 1."""
    return (TODAY - timedelta(days=len(TURNS) + 1 - turn)).isoformat()


def update_of(method: str) -> dict[str, Any]:
    """The whole part ``update`` for a method of the table."""
    return {**TRAINING, **METHODS[method]}


def flywheel_settings(seed: int, **parts: Any) -> dict[str, Any]:
    """The example's YAML with this seed, without what a server would capture: here none runs.

    Each of ``parts`` takes the place of the YAML's.
    """
    told: dict[str, Any] = yaml.safe_load((INCLUDE / "flywheels" / f"{FLYWHEEL}.yaml").read_text(encoding="utf-8"))
    told.pop("description", None)
    told["sources"] = [source for source in told["sources"] if source["format"] != "captured"]
    return copy.deepcopy({**told, "seed": seed, **parts})


def updated(told: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """The YAML's ``update`` with some of its keys changed."""
    return {**told.get("update", {}), **changes}


def task_of(told: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """The YAML's ``tasks`` with some keys of the example's task changed."""
    return {**told["tasks"], TASK: {**told["tasks"][TASK], **changes}}


def strategy(told: Mapping[str, Any], name: str, **changes: Any) -> dict[str, Any]:
    """One strategy of the example's task, with some of its keys changed."""
    (found,) = (one for one in told["tasks"][TASK]["strategies"] if one["name"] == name)
    return {**found, **changes}
