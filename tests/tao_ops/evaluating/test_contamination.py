"""Which items a candidate was trained on is counted by the very rows that lie beside it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tao_ops.benchmarks.item_sets import Item, ItemSet
from tao_ops.errors import MissingInput
from tao_ops.evaluating.contamination import contaminated, trained_on

Shop = Any
TEXTS = [f"{name} here, my kettle never came to Oslo." for name in ("Mia", "Nils", "Olga")]


def _exam(texts: Sequence[str], name: str = "exam") -> ItemSet:
    items = (Item(f"i{n}", ({"role": "user", "content": text},), {"a": 1}) for n, text in enumerate(texts))
    return ItemSet(name, "v1", tuple(items))


def _row(*contents: str, task: str = "tickets") -> dict[str, Any]:
    roles = ("user", "assistant")
    messages = [{"role": roles[n % 2], "content": content} for n, content in enumerate(contents)]
    return {"task": task, "messages": messages}


def test_equal_and_near_rows_are_found_and_their_items_named(shop: Shop) -> None:
    flywheel = shop.run().flywheel
    rows = [_row("Zoe here, my rake never came to Lima."), _row(TEXTS[0].upper()), _row(TEXTS[0])]
    assert contaminated(flywheel, [_exam(TEXTS)], rows) == {"exam/i0"}
    assert contaminated(flywheel, [_exam(TEXTS[1:]), _exam(TEXTS[:1], "other")], rows) == {"other/i0"}
    assert contaminated(flywheel, [_exam(TEXTS)], [_row("Hello", "Hello!", f"{TEXTS[2]}!")]) == {"exam/i2"}


def test_an_item_is_known_as_its_query_is_redacted(shop: Shop) -> None:
    flywheel = shop.run().flywheel
    asked = "Mia here, write to mia.miller@example.com about my kettle."
    assert contaminated(flywheel, [_exam([asked])], [_row(asked.replace("mia.miller@example.com", "<EMAIL_1>"))])


def test_clean_rows_have_none(shop: Shop) -> None:
    flywheel = shop.run().flywheel
    clean = [_row("Zoe here, my rake never came to Lima.")]
    assert contaminated(flywheel, [_exam(TEXTS)], clean) == set()
    assert contaminated(flywheel, [_exam(TEXTS)], []) == set()
    assert contaminated(flywheel, [], [_row(TEXTS[0])]) == set()


def test_the_rows_beside_a_candidate_are_read(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist([{**_row(TEXTS[0]), "reward": 1.0}]), tmp_path / "training_rows.parquet")
    assert trained_on(tmp_path) == [_row(TEXTS[0])]
    with pytest.raises(MissingInput, match=r"trained on are missing .* — run update"):
        trained_on(tmp_path / "elsewhere")
