"""What made what: the facts beside a candidate, and how they are found again from a version or a query."""

from tao_ops.lineage.environment import code_version, facts, packages

__all__ = ["code_version", "facts", "packages"]
