"""The versions that a server could not take, why, and when each is looked at again."""

import time
from collections.abc import Collection
from dataclasses import dataclass

AGAIN_S = (30.0, 60.0, 120.0, 300.0, 600.0)
"""How long a version is left alone after it was refused for the first time, the second, …."""


@dataclass(frozen=True)
class _Refusal:
    why: str
    times: int
    until: float


class Refusals:
    """By version, why it cannot be served."""

    def __init__(self) -> None:
        self._by_version: dict[int, _Refusal] = {}

    def add(self, version: int, why: str, *, soon: bool = False) -> float:
        """Write a refusal down; for how many seconds it stands. With ``soon`` it may be otherwise in a moment."""
        times = self._by_version[version].times + 1 if version in self._by_version else 1
        wait_s = AGAIN_S[0] / 10 if soon else AGAIN_S[min(times, len(AGAIN_S)) - 1]
        why = f"version {version} cannot be served: {why}"
        self._by_version[version] = _Refusal(why, times, time.monotonic() + wait_s)
        return wait_s

    def waits(self, version: int) -> bool:
        """Whether a version is to be left alone for now."""
        found = self._by_version.get(version)
        return found is not None and time.monotonic() < found.until

    def why(self, version: int | None) -> str | None:
        """Why a version cannot be served; None where nothing is known against it."""
        found = None if version is None else self._by_version.get(version)
        return None if found is None else found.why

    def reasons(self) -> list[str]:
        """All of them."""
        return [one.why for one in self._by_version.values()]

    def forget(self, version: int) -> None:
        """It was taken."""
        self._by_version.pop(version, None)

    def keep_only(self, versions: Collection[int]) -> None:
        """Nobody wants any others."""
        self._by_version = {version: one for version, one in self._by_version.items() if version in versions}

    def clear(self) -> None:
        """Look at all of them again."""
        self._by_version.clear()
