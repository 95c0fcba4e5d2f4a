"""Probes: answers that no scorer should like, and what the scorers of a task make of them."""

from tao_ops.rewards.probes.kinds import Group, Kind, Outcome, Probe
from tao_ops.rewards.probes.suite import build
from tao_ops.rewards.probes.verdicts import COMBINED, ProbeReport, Row, barred, report

__all__ = ["COMBINED", "Group", "Kind", "Outcome", "Probe", "ProbeReport", "Row", "barred", "build", "report"]
