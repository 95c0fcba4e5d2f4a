"""Scorers of your own: a Python file below ``include/``, or an entry point of an installed package."""

import hashlib
import importlib.metadata
import importlib.util
import inspect
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tao_ops.config import OwnScorerConfig
from tao_ops.errors import ConfigError, DataError
from tao_ops.records import Candidate
from tao_ops.rewards.base import Score, Scorer

GROUP = "tao_ops.scorers"
"""The group of entry points."""


def load(config: OwnScorerConfig, include: Path) -> Scorer:
    """The scorer that a task's YAML names: ``score(batch, **options)``, which gives one value per candidate.

    A value is a number in [0, 1], a :class:`~tao_ops.rewards.base.Score`, or None.

    Raises:
        ConfigError: it cannot be imported, or takes other options.
    """
    function, where = _from_file(include / config.file) if config.file else _from_entry_point(str(config.entry_point))
    try:
        inspect.signature(function).bind([], **config.options)
    except TypeError as error:
        raise ConfigError(f"'options' of scorer {config.name!r}: {error}", where=where) from error

    def scorer(batch: Sequence[Candidate]) -> list[Score]:
        try:
            values = list(function(batch, **config.options))
        except Exception as error:  # whatever a stranger's code raises
            raise DataError(f"scorer {config.name!r} failed: {error!r}", where=where, mend="mend its code") from error
        if len(values) != len(batch):
            raise DataError(f"{len(values)} scores for {len(batch)} candidates", where=where, mend="give one for each")
        return [_score(value, config.name, where) for value in values]

    return scorer


def _from_file(path: Path) -> tuple[Callable[..., Any], str]:
    name = f"tao_own_scorer_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"  # two folders may have a score.py
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError("a scorer's file is Python", where=path, mend="name a .py file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look for it there
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever a stranger's code raises
        raise ConfigError(f"the scorer cannot be imported: {error!r}", where=path, mend="mend its code") from error
    function = getattr(module, "score", None)
    if not callable(function):
        raise ConfigError("the file has no function 'score'", where=path, mend="add score(batch, **options)")
    return function, str(path)


def _from_entry_point(name: str) -> tuple[Callable[..., Any], str]:
    found = [point for point in importlib.metadata.entry_points(group=GROUP) if point.name == name]
    if not found:
        known = ", ".join(sorted(point.name for point in importlib.metadata.entry_points(group=GROUP))) or "none"
        raise ConfigError(f"no scorer {name!r} is installed", where=GROUP, mend=f"installed ones: {known}")
    try:
        function = found[0].load()
    except Exception as error:  # whatever a stranger's code raises
        raise ConfigError(f"the scorer cannot be imported: {error!r}", where=found[0].value) from error
    if not callable(function):
        raise ConfigError("the entry point is no function", where=found[0].value)
    return function, found[0].value


def _score(value: Any, name: str, where: str) -> Score:
    if isinstance(value, Score):
        return value
    if value is None:
        return Score(None, "undecided")
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if math.isnan(number):
        return Score(None, "not a number")
    if not 0.0 <= number <= 1.0:
        raise DataError(f"scorer {name!r} gave {value!r}", where=where, mend="give numbers from 0 to 1, or None")
    return Score(number)
