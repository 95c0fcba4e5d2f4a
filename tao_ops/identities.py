"""Which rows were seen before: millions of identities in some bytes each."""

from collections.abc import Iterable, Sequence
from enum import IntEnum

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]


class Known(IntEnum):
    """What a set of identities knows of one."""

    NEW = 0
    SAME = 1
    """It is in the set, with the same value."""
    OTHER = 2
    """It is in the set, with another value."""


class Identities:
    """A set of 128-bit digests, each with a 64-bit value: 24 bytes an identity, in sorted runs.

    A Python set of five million byte strings takes some 600 MB; this takes 120. Two identities share a digest with a
    probability of 4e-26 at five million (birthday bound, n² / 2¹²⁹).

    Args:
        seed: of the hash, 64 bits. It is not a cryptographic one: who knows the seed can make two that collide.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._runs: list[tuple[Words, Words, Words]] = []

    def __len__(self) -> int:
        return sum(len(run[0]) for run in self._runs)

    def add(self, identities: Sequence[bytes], values: Iterable[int]) -> npt.NDArray[np.int8]:
        """Add those that are new; of several equal ones the first counts.

        Returns:
            What was known of each before, a :class:`Known`, shape ``(n,)``.
        """
        high, low = self._digests(identities)
        # In their order from here on, equal ones as they came: neighbours are near each other in the runs too.
        order = np.lexsort((low, high))
        high, low = high[order], low[order]
        value = np.fromiter(values, np.uint64, len(identities))[order]
        known = self._lookup(high, low, value)
        again = np.zeros(len(high), bool)
        again[1:] = (high[1:] == high[:-1]) & (low[1:] == low[:-1])
        first = np.maximum.accumulate(np.where(again, 0, np.arange(len(high))))
        unheld = again & (known == Known.NEW)
        fresh = ~again & (known == Known.NEW)
        known[unheld] = np.where(value[unheld] == value[first[unheld]], Known.SAME, Known.OTHER)
        self._append(high[fresh], low[fresh], value[fresh])
        found = np.empty_like(known)
        found[order] = known
        return found

    def known(self, identities: Sequence[bytes]) -> npt.NDArray[np.bool_]:
        """Whether each is in the set, shape ``(n,)``; nothing is added."""
        return np.asarray(self.look_up(identities, np.zeros(len(identities), np.uint64)) != Known.NEW)

    def look_up(self, identities: Sequence[bytes], values: Words) -> npt.NDArray[np.int8]:
        """What is known of each, a :class:`Known`, shape ``(n,)``; nothing is added."""
        return self._lookup(*self._digests(identities), values)

    def _digests(self, identities: Sequence[bytes]) -> tuple[Words, Words]:
        from xxhash import xxh3_128_digest

        seed = self._seed
        joined = b"".join([xxh3_128_digest(identity, seed) for identity in identities])
        both = np.frombuffer(joined, np.uint64).reshape(-1, 2)
        return both[:, 0].copy(), both[:, 1].copy()

    def _lookup(self, high: Words, low: Words, value: Words) -> npt.NDArray[np.int8]:
        known = np.zeros(len(high), np.int8)
        for run_high, run_low, run_value in self._runs:
            at = np.searchsorted(run_high, high)
            asked = np.arange(len(high))
            while len(asked):  # once, but for digests whose first halves are equal
                inside = at < len(run_high)
                asked, at = asked[inside], at[inside]
                equal = run_high[at] == high[asked]
                asked, at = asked[equal], at[equal]
                hit = run_low[at] == low[asked]
                known[asked[hit]] = np.where(run_value[at[hit]] == value[asked[hit]], Known.SAME, Known.OTHER)
                asked, at = asked[~hit], at[~hit] + 1
        return known

    def _append(self, *run: Words) -> None:
        """Add a run, sorted; runs of similar length become one, so that there are never many."""
        if not len(run[0]):
            return
        self._runs.append(run)  # type: ignore[arg-type]
        while len(self._runs) > 1 and len(self._runs[-2][0]) < 4 * len(self._runs[-1][0]):
            pairs = [np.concatenate(pair) for pair in zip(self._runs.pop(-2), self._runs.pop(), strict=True)]
            order = np.argsort(pairs[0], kind="stable")
            self._runs.append(tuple(column[order] for column in pairs))  # type: ignore[arg-type]
