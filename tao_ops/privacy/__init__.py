"""Redaction before the first write, and keyed hashes instead of users and queries."""

from tao_ops.privacy.hashes import keyed_hash, keyed_hashes
from tao_ops.privacy.redactor import REDACTOR_VERSION, Redactor

__all__ = ["REDACTOR_VERSION", "Redactor", "keyed_hash", "keyed_hashes"]
