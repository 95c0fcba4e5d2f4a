"""A set of identities says what a dictionary would, in a tenth of its memory."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tao_ops.identities import Identities, Known

Pair = tuple[bytes, int]

few = settings(max_examples=200, deadline=None, derandomize=True)
pairs = st.lists(st.tuples(st.binary(max_size=1), st.integers(0, 2)), max_size=12)


def _reference(held: dict[bytes, int], batch: Sequence[Pair]) -> list[Known]:
    """What a dictionary knows of each of a batch; of several equal identities the first one counts."""
    known = []
    for identity, value in batch:
        if identity in held:
            known.append(Known.SAME if held[identity] == value else Known.OTHER)
        else:
            known.append(Known.NEW)
            held[identity] = value
    return known


def _add(identities: Identities, batch: Sequence[Pair]) -> list[int]:
    return [int(known) for known in identities.add([identity for identity, _ in batch], [value for _, value in batch])]


def _check(batches: Sequence[Sequence[Pair]], asked: Sequence[bytes]) -> None:
    identities, held = Identities(7), dict[bytes, int]()
    for batch in batches:
        assert _add(identities, batch) == _reference(held, batch)
        assert len(identities) == len(held)
    assert identities.known(asked).tolist() == [one in held for one in asked]


@few
@given(st.lists(pairs, max_size=8), st.lists(st.binary(max_size=1), max_size=12))
def test_it_says_what_a_dictionary_says(batches: list[list[Pair]], asked: list[bytes]) -> None:
    _check(batches, asked)


@few
@given(st.lists(pairs, max_size=8), st.lists(st.binary(max_size=1), max_size=12))
def test_it_does_so_where_halves_of_digests_are_equal(batches: list[list[Pair]], asked: list[bytes]) -> None:
    def colliding(self: Identities, identities: Sequence[bytes]) -> Any:
        numbers = [identity[0] + 1 if identity else 0 for identity in identities]
        high = np.array([number % 3 for number in numbers], np.uint64)
        return high, np.array([number // 2 for number in numbers], np.uint64)

    def distinct(identity: bytes) -> bytes:
        """Two identities whose both halves are equal are one."""
        high, low = colliding(Identities(0), [identity])
        return bytes([int(high[0]), int(low[0])])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Identities, "_digests", colliding)
        identities, held = Identities(7), dict[bytes, int]()
        for batch in batches:
            assert _add(identities, batch) == _reference(held, [(distinct(one), value) for one, value in batch])
        assert identities.known(asked).tolist() == [distinct(one) in held for one in asked]


def test_three_hundred_thousand_identities_in_batches() -> None:
    random = np.random.default_rng(1)
    numbers = random.integers(0, 200_000, 300_000)
    identities, seen = Identities(3), set[int]()
    for start in range(0, len(numbers), 8192):
        part = numbers[start : start + 8192].tolist()
        known = identities.add([b"%d" % number for number in part], part)
        fresh = [number for number in dict.fromkeys(part) if number not in seen]
        assert (known == Known.NEW).sum() == len(fresh) and not (known == Known.OTHER).any()
        seen.update(fresh)
    assert len(identities) == len(seen)
    asked = range(150_000, 250_000)
    assert identities.known([b"%d" % number for number in asked]).tolist() == [number in seen for number in asked]
    assert len(identities._runs) < 12, "runs are joined, so that a look-up stays cheap"


def test_other_values_are_told_from_the_same_ones() -> None:
    identities = Identities(0)
    assert _add(identities, [(b"a", 1), (b"a", 2), (b"a", 1), (b"b", 0)]) == [
        Known.NEW,
        Known.OTHER,
        Known.SAME,
        Known.NEW,
    ]
    assert _add(identities, [(b"a", 2), (b"a", 1), (b"b", 2**64 - 1)]) == [Known.OTHER, Known.SAME, Known.OTHER]


def test_nothing_asked_is_nothing_known() -> None:
    identities = Identities(0)
    assert identities.add([], []).tolist() == [] == identities.known([]).tolist()
    assert len(identities) == 0 and identities.known([b"a"]).tolist() == [False]


def test_asking_adds_nothing() -> None:
    identities = Identities(0)
    identities.known([b"a"])
    assert len(identities) == 0 and _add(identities, [(b"a", 1)]) == [Known.NEW]


def test_other_seeds_make_other_digests() -> None:
    one, two = (Identities(seed)._digests([b"a"]) for seed in (1, 2))
    assert one[0] != two[0] and one[1] != two[1]


def test_a_look_up_tells_values_apart_and_adds_nothing() -> None:
    identities = Identities(1)
    identities.add([b"a", b"b"], [1, 2])
    found = identities.look_up([b"a", b"b", b"c"], np.array([1, 1, 1], np.uint64))
    assert found.tolist() == [Known.SAME, Known.OTHER, Known.NEW] and len(identities) == 2
