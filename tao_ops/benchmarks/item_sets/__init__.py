"""Item sets: fixed questions with their references, in a team's own table or in a public benchmark's layout."""

from tao_ops.benchmarks.item_sets.item import Item, ItemSet
from tao_ops.benchmarks.item_sets.loading import File, databases, load_items
from tao_ops.benchmarks.item_sets.text_to_sql import digests as database_digests

__all__ = ["File", "Item", "ItemSet", "database_digests", "databases", "load_items"]
