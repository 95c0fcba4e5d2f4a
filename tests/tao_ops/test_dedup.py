"""Signatures estimate similarity and never change; the index finds what is near; leaders gather it."""

import csv
import os
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tao_ops import dedup
from tao_ops.dedup import Leaders, NearIndex, leaders, normalise, signatures
from tao_ops.settings import PROJECT

BASE = (
    "I have done a transfer within the country the day before yesterday, but it is still not there yet. Please check."
)


def _jaccard(a: str, b: str) -> float:
    one, other = ({t[i : i + 5] for i in range(len(t) - 4)} for t in (normalise(a), normalise(b)))
    return len(one & other) / len(one | other)


def _estimate(a: str, b: str) -> float:
    one, other = signatures([a, b])
    return float((one == other).mean())


def _mutated(count: int, seed: int) -> list[str]:
    """Texts of a few families: those of one are more or less alike."""
    rng = random.Random(seed)
    words = ["card", "transfer", "pending", "exchange", "rate", "refund", "order", "delivery", "balance", "account"]
    families = [" ".join(rng.choices(words, k=rng.randint(6, 40))) for _ in range(max(1, count // 20))]
    texts = []
    for _ in range(count):
        said = rng.choice(families).split()
        for _ in range(rng.randint(0, 3)):
            said[rng.randrange(len(said))] = rng.choice(words) + rng.choice("abc")
        texts.append(" ".join(said))
    return texts


def test_a_signature_is_the_same_in_every_release() -> None:
    found = signatures(["Where is my rain jacket?", "ok", ""])
    assert found.shape == (3, 128) and found.dtype == np.uint32
    assert found[:, 0].tolist() == [32047889, 915601673, 3442783046]
    assert found.sum(dtype=np.uint64) == 593547867767


@pytest.mark.parametrize(
    "text", ["where is  my RAIN jacket?", " Where is my rain jacket?\n", "Ｗhere is my rain jacket?"]
)
def test_equal_texts_have_equal_signatures(text: str) -> None:
    assert _estimate(text, "Where is my rain jacket?") == 1


@pytest.mark.parametrize(
    "other",
    [BASE + "!", "Hello, " + BASE, BASE.replace("country", "contry"), BASE.replace("there", "here, sir,"), BASE[30:]],
)
def test_the_estimate_is_near_the_jaccard_similarity(other: str) -> None:
    assert _estimate(BASE, other) == pytest.approx(_jaccard(BASE, other), abs=3 * 0.045)


def test_texts_shorter_than_a_shingle_are_near_nothing_but_themselves() -> None:
    texts = ["ok", "okay", "okey", "no", "", " ", "OK", "okayed", "o k"]
    assert leaders(texts, 0.5).tolist() == [0, 1, 2, 3, 4, 4, 0, 7, 8]


def test_a_long_text_is_hashed_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = signatures([BASE])
    monkeypatch.setattr(dedup, "_PIECE", 7)
    assert (signatures([BASE]) == whole).all()


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.8, 0.9, 0.95])
def test_the_index_finds_what_a_comparison_with_every_entry_finds(threshold: float) -> None:
    entries, asked = signatures(_mutated(400, seed=1)), signatures(_mutated(600, seed=1)[400:])
    similarity = (asked[:, None] == entries[None]).mean(axis=2)
    found = NearIndex(entries, threshold).matches(asked)
    every = int((similarity >= threshold).sum())
    assert every > 50 and sum(map(len, found)) >= 0.99 * every
    for row, matches in enumerate(found):
        assert matches == sorted(matches, key=lambda match: (-match[1], match[0]))
        assert all(similarity[row, entry] == s >= threshold for entry, s in matches)


def test_an_index_without_entries_and_one_that_is_asked_nothing() -> None:
    none = signatures([])
    assert NearIndex(none, 0.9).matches(signatures([BASE])) == [[]]
    assert NearIndex(signatures([BASE]), 0.9).matches(none) == []


def test_of_equals_the_first_entry_comes_first() -> None:
    assert NearIndex(signatures([BASE, "else", BASE]), 0.9).matches(signatures([BASE])) == [[(0, 1.0), (2, 1.0)]]


def test_an_entry_takes_less_than_a_kilobyte() -> None:
    texts = signatures(_mutated(500, seed=2))
    for threshold in (0.5, 0.7, 0.9, 1.0):
        bands = NearIndex(texts, threshold)._bands
        assert texts.nbytes + sum(keys.nbytes + order.nbytes for keys, order in bands) < 1000 * len(texts)


def test_what_leads_is_found_and_nothing_else() -> None:
    near = Leaders(signatures([BASE, BASE + "!", "something else", BASE]), 0.9)
    assert near.matches(1) == []
    near.add(0)
    near.add(2)
    assert [leader for leader, _ in near.matches(1)] == [0] and near.matches(3) == [(0, 1.0)]


def test_a_typo_punctuation_case_or_greeting_joins_and_another_request_does_not() -> None:
    texts = [
        BASE,
        BASE.upper() + "!!",
        "Hi, " + BASE,
        BASE.replace("yesterday", "yesterdey"),
        "Is there a charge for exchanging foreign currencies?",
        "is there a charge for exchanging foreign currencies",
        "Is there a charge for topping up by bank transfer?",
    ]
    assert leaders(texts, 0.9).tolist() == [0, 0, 0, 0, 4, 4, 6]


def test_a_chain_of_likenesses_is_no_cluster() -> None:
    step = [BASE, BASE.replace("country the day", "land, one day"), BASE.replace("country the day", "land, one week")]
    assert _estimate(step[0], step[1]) >= 0.8 and _estimate(step[1], step[2]) >= 0.8 > _estimate(step[0], step[2])
    assert leaders(step, 0.8).tolist() == [0, 0, 2]


def test_the_most_similar_leader_is_joined() -> None:
    close, far, asked = BASE[20:], BASE[:-20], BASE[8:]
    assert _estimate(asked, close) > _estimate(asked, far) >= 0.7 > _estimate(close, far)
    assert leaders([close, far, asked], 0.7).tolist() == [0, 1, 0]
    assert leaders([far, close, asked], 0.7).tolist() == [0, 1, 1]


def test_at_one_only_equal_texts_join() -> None:
    # The same shingles, and more of them than a signature can tell apart.
    assert leaders(["a" * 9, "a" * 10, "A" * 9], 1.0).tolist() == [0, 1, 0]
    assert leaders(["a" * 9, "a" * 10, "A" * 9], 0.99).tolist() == [0, 0, 0]


@given(st.lists(st.text(alphabet="ab \n", max_size=12), max_size=30), st.sampled_from([0.5, 0.8, 0.9, 1.0]))
def test_every_text_has_a_leader_that_came_before_and_leads_itself(texts: list[str], threshold: float) -> None:
    found = leaders(texts, threshold).tolist()
    assert len(found) == len(texts)
    assert all(leader <= i and found[leader] == leader for i, leader in enumerate(found))
    by_text: dict[str, set[int]] = {}
    for text, leader in zip(texts, found, strict=True):
        by_text.setdefault(normalise(text), set()).add(leader)
    assert all(len(one) == 1 for one in by_text.values())


def test_customers_questions_are_merged_sparingly() -> None:
    path = Path(os.environ.get("TAO_DATA", PROJECT / ".." / "shared" / "data")) / "banking77" / "train.csv"
    if not path.is_file():
        pytest.skip(f"no {path}")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    found = leaders([row["text"] for row in rows], 0.9)
    merged = [(i, int(leader)) for i, leader in enumerate(found) if leader != i]
    assert len(rows) == 10_003 and len(merged) == 26
    assert all(rows[i]["category"] == rows[leader]["category"] for i, leader in merged)
