"""Train or holdout, for ever; and no exam item gets to training."""

from pathlib import Path

import pytest

from tao_ops.benchmarks.item_set import Item, ItemSet
from tao_ops.records import Split
from tao_ops.splits import cluster, normalise, split, wall


@pytest.mark.parametrize("text", ["Hello  Anna", " hello anna\n", "HELLO ANNA", "Ｈello\tAnna"])
def test_equal_queries_share_a_cluster(text: str) -> None:
    assert normalise(text) == "hello anna"
    assert cluster(text) == cluster("Hello Anna")


def test_other_words_are_another_cluster() -> None:
    assert cluster("hello anna") != cluster("hello anne")


def test_the_split_of_a_cluster_depends_on_nothing_else() -> None:
    clusters = [cluster(f"message {i}") for i in range(2000)]
    held = {c for c in clusters if split(c, 0.1) is Split.HOLDOUT}
    assert 150 < len(held) < 250
    assert held < {c for c in clusters if split(c, 0.2) is Split.HOLDOUT}
    assert cluster("message 1") == "b526aef1a341cfe6e5c377ed4c222888"


def test_the_ends_of_the_share() -> None:
    clusters = [cluster(f"message {i}") for i in range(200)]
    assert {split(c, 0.0) for c in clusters} == {Split.TRAIN}
    assert {split(c, 1.0) for c in clusters} == {Split.HOLDOUT}


def test_the_wall_knows_an_item_however_it_is_logged(tmp_path: Path) -> None:
    asked = "Ottoline here, write to me at otto@example.org or +49 30 901820."
    item = Item("i1", ({"role": "user", "content": asked},), {"city": "Oslo"})
    walled = wall([ItemSet("tickets", "v1", (item,))])
    logged = "ottoline HERE, write to me  at <EMAIL_1> or <PHONE_1>."
    assert walled == {cluster(logged)}
    assert cluster("Somebody else here.") not in walled
