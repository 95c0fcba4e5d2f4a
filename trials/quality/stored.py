"""The chain of a seed's turns, and its home as it was when a turn's responses were scored.

All methods, controls and ablations of a seed start from such a home: from the very same responses and rewards. They
stay in the cache, ``trials/quality/seed-<n>/``.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tao_ops.settings import Settings
from tao_ops.stages import Stage
from tao_ops.tables import EVALUATIONS
from trials.quality.cell import data_digest, digest
from trials.quality.home import Home
from trials.quality.settings import day, flywheel_settings

EXPLORED = (Stage.INGEST, Stage.VALIDATE, Stage.GENERATE, Stage.SCORE)
KEPT = (1, 3)
"""Turns whose scored home is kept for other cells."""


class Chain:
    """One seed's turns, one after the other in one home, each on the champion that the last one left."""

    def __init__(self, seed: int, cache: Path | None = None) -> None:
        self.seed = seed
        self.folder = (cache or Settings.from_env().cache) / "trials" / "quality" / f"seed-{seed}"
        self._home: Home | None = None

    @property
    def home(self) -> Home:
        """The chain's home: as it was left, if that was under the settings of now."""
        if self._home is None:
            self._home = self._open()
        return self._home

    def forget(self) -> None:
        """Remove what is in the cache, so that all is measured anew."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._home = None

    def scored(self, turn: int) -> Home:
        """The home as it was when this turn's responses had their rewards."""
        there = self._there(turn)
        if there is not None:
            return there
        for before in range(1, turn):
            self.finish(before)
        if Stage.UPDATE in self.home.done.get(day(turn), {}):  # the copy was removed by hand
            self.forget()
            return self.scored(turn)
        for stage in EXPLORED:
            self.home.run(stage, day(turn), _run_id(turn))
        return self.home.copy(self._place(turn))

    def finish(self, turn: int) -> dict[str, dict[str, Any]]:
        """All stages of a turn, those before it first; their reports. Where ``update`` refuses, it is the last."""
        if turn in KEPT:
            self.scored(turn)
        elif turn > 1:
            self.finish(turn - 1)
        home, when = self.home, day(turn)
        for stage in Stage:
            if "refused" in home.run(stage, when, _run_id(turn)):
                break
            if stage is Stage.EVALUATE:
                self.share_scores(home)
        return home.done[when]

    def share_scores(self, home: Home) -> None:
        """Keep the scores of champion and control for the seed's other cells, which are held against the same."""
        _copy_scores(home.folder, self._place(1))

    def lend_scores(self, home: Home) -> None:
        """Give a home the scores that are kept, where it has none."""
        _copy_scores(self._place(1), home.folder)

    def _open(self) -> Home:
        told = flywheel_settings(self.seed)
        home = Home(self.folder / "chain")
        if home.data == data_digest():
            if home.settings == told:
                return home
            trained = any(Stage.UPDATE in stages for stages in home.done.values())
            if explored(home.settings) == explored(told) and not trained:
                home.configure(told)
                return home
        # Another update: back to the responses of turn one, which are still those that would be sampled.
        stored = self._there(1)
        if stored is None:
            self.forget()
            return Home.new(home.folder, told)
        shutil.rmtree(self._place(3), ignore_errors=True)
        home = stored.copy(home.folder, told)
        # Its evaluation is timed with all its arms.
        shutil.rmtree(Path(home.lake.root) / EVALUATIONS.name, ignore_errors=True)
        return home

    def _there(self, turn: int) -> Home | None:
        """The kept home of a turn, if it is what would be made now."""
        home, told = Home(self._place(turn)), flywheel_settings(self.seed)
        if home.data != data_digest():
            return None
        same = explored(home.settings) == explored(told) if turn == 1 else home.settings == told
        return home if same else None

    def _place(self, turn: int) -> Path:
        return self.folder / f"scored-{turn}"


def _copy_scores(source: Path, target: Path) -> None:
    """The table of evaluations, whole, from one home to another that has none."""
    there, place = (folder / "lake" / EVALUATIONS.name for folder in (source, target))
    if place.is_dir() or not place.parent.is_dir() or not there.is_dir():
        return
    fresh = place.with_name(f".{place.name}.part")
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(there, fresh)
    fresh.rename(place)


def explored(told: Mapping[str, Any]) -> str:
    """A digest of the settings that shape the first turn's responses and rewards: all but what comes after them."""
    shaping = {name: part for name, part in told.items() if name not in ("update", "evaluate", "gate")}
    return digest([shaping, told.get("update", {}).get("min_reward")])


def _run_id(turn: int) -> str:
    return f"turn-{turn}"
