"""The registry: numbered versions in MLflow, and the champion record, which is ours.

The champion is one row per flywheel in PostgreSQL, moved by compare-and-set together with an event that says who,
when and why. MLflow's aliases ``champion``, ``previous`` and ``candidate`` mirror that record and are put right where
somebody has moved them by hand. Version 0 is the base model: it is in no registry.
"""

from tao_ops.registry.opening import champion, open_registry, open_versions
from tao_ops.registry.record import BASE, Answer, ChampionEvent, EventKind
from tao_ops.registry.versions import CanaryOver, ChampionMoved, Registry
from tao_ops.submissions import Submission

__all__ = [
    "BASE",
    "Answer",
    "CanaryOver",
    "ChampionEvent",
    "ChampionMoved",
    "EventKind",
    "Registry",
    "Submission",
    "champion",
    "open_registry",
    "open_versions",
]
