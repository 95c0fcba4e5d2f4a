"""Then beside now: what is equal, what is only alike, and by how much the rest is apart."""

import struct
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tao_ops.errors import ModelError
from tao_ops.lineage import rows
from tao_ops.replay import compare, weights
from tao_ops.tables import PROMPTS, RESPONSES, REWARDS


def _table(table: Any, found: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(found, schema=table.schema)


def _responses(texts: dict[str, str], tokens: int = 5) -> pa.Table:
    made = [
        {"response_id": n, "query_id": n, "strategy": "plain", "text": t, "tokens": tokens, "logprobs": [-0.5]}
        for n, t in texts.items()
    ]
    return _table(RESPONSES, made)


def _told(table: pa.Table) -> dict[str, Any]:
    return rows.digest(table)


def test_prompts_that_moved_between_the_splits_are_counted() -> None:
    then = _table(PROMPTS, [{"query_id": q, "split": "train", "cluster": "c", "count": 1} for q in "abc"])
    now = _table(
        PROMPTS,
        [
            {"query_id": q, "split": s, "cluster": "c", "count": 1}
            for q, s in zip("abd", ("train", "holdout", "train"), strict=True)
        ],
    )
    found = compare.prompts(_told(then), then, now)
    assert (found.equal, found.alike) == (False, False)
    assert found.what == "1 of 3 prompts missing, 1 new, 1 in another split"
    same = compare.prompts(_told(then), then, then)
    assert same.equal and same.what == "3 prompts, the same bit for bit"


def test_texts_count_and_last_bits_of_log_probabilities_do_not() -> None:
    then = _responses({"a": "x", "b": "y"})
    now = _table(RESPONSES, [{**row, "logprobs": [-0.5001]} for row in then.to_pylist()])
    found = compare.responses(_told(then), then, now)
    assert found.equal and found.what.startswith("2 responses, the same texts; log-probabilities apart by 0.0001")


def test_other_texts_of_the_same_length_are_alike_and_longer_ones_are_not() -> None:
    then = _responses({str(n): "x" for n in range(50)})
    other = compare.responses(_told(then), then, _responses({str(n): "y" if n % 5 else "x" for n in range(50)}))
    assert (other.equal, other.alike) == (False, True) and other.figures["share_equal"] == 0.2
    longer = compare.responses(_told(then), then, _responses({str(n): "y" for n in range(50)}, tokens=9))
    assert not longer.alike and "250 tokens then, 450 now" in longer.what
    fewer = compare.responses(_told(then), then, _responses({str(n): "y" for n in range(15)}))
    assert not fewer.alike


def test_rewards_are_equal_to_the_ninth_digit() -> None:
    then = _table(REWARDS, [{"response_id": n, "reward": 0.5, "calibrator_version": "v"} for n in "ab"])
    close = _table(REWARDS, [{"response_id": n, "reward": 0.5 + 1e-12, "calibrator_version": "v"} for n in "ab"])
    assert compare.rewards(_told(then), then, close).equal
    now = _table(
        REWARDS, [{"response_id": n, "reward": r, "calibrator_version": "v"} for n, r in (("a", 0.5), ("b", None))]
    )
    found = compare.rewards(_told(then), then, now)
    assert found.equal is False and found.figures["unequal"] == 1
    assert "mean 0.5000 then, 0.5000 now" in found.what


def test_without_the_rows_of_then_the_digest_still_tells() -> None:
    then = _responses({"a": "x"})
    assert compare.responses(_told(then), None, then).equal
    found = compare.responses(_told(then), None, _responses({"a": "y"}))
    assert found.equal is False and found.what.endswith("those of then are gone")


def test_scores_are_compared_by_arm_benchmark_and_item() -> None:
    def one(item: str, score: float, version: str = "1") -> dict[str, Any]:
        common = {"arm": "candidate", "benchmark": "exam", "benchmark_version": version, "output": "o"}
        return {**common, "item_id": item, "score": score}

    then = [one("i", 1.0), one("j", 0.0)]
    assert compare.scores(then, then).equal
    found = compare.scores(then, [one("i", 1.0), one("j", 1.0)])
    assert found.equal is False and found.what.startswith("1 of 2 scores and 0 outputs differ")
    assert found.figures["means"] == {"exam/candidate": [0.5, 1.0]}
    assert not compare.scores(then, [one("i", 1.0, "2"), one("j", 0.0, "2")]).alike
    assert compare.scores([], then).equal is None
    champions = [{**row, "arm": "champion"} for row in then]
    assert compare.scores(champions, then).equal is None  # the turn was run again since


def _weights(folder: Path, kind: str, numbers: list[float]) -> Path:
    packed = {"F32": lambda x: struct.pack("<f", x), "BF16": lambda x: struct.pack("<f", x)[2:]}[kind]
    data = b"".join(map(packed, numbers))
    header = f'{{"w": {{"dtype": "{kind}", "shape": [{len(numbers)}], "data_offsets": [0, {len(data)}]}}}}'.encode()
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + data)
    return folder


@pytest.mark.parametrize("kind", ["F32", "BF16"])
def test_weights_are_compared_number_by_number(tmp_path: Path, kind: str) -> None:
    one = _weights(tmp_path / "one", kind, [1.0, -2.0, 0.5])
    other = _weights(tmp_path / "other", kind, [1.0, -2.0, 0.25])
    assert weights.difference(one, one) == 0.0 and weights.difference(one, other) == 0.25
    assert weights.difference(one, _weights(tmp_path / "short", kind, [1.0])) is None


def test_a_broken_file_of_weights_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", 3) + b"{]}")
    with pytest.raises(ModelError, match="not a file of weights"):
        weights.difference(folder, folder)
