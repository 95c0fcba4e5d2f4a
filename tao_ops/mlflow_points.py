"""Curves in MLflow: each point once, however often it is sent."""

from collections.abc import Iterable
from typing import Any, NamedTuple

_AT_ONCE = 1000
"""MLflow takes no more points in one call."""


class Point(NamedTuple):
    """One value of a curve.

    Attributes:
        at: when it was measured, milliseconds since 1970.
    """

    name: str
    step: int
    value: float
    at: int


class PointLog:
    """The points of one MLflow run."""

    def __init__(self, run: str) -> None:
        self._run = run
        self._have: dict[str, set[tuple[int, float]]] = {}

    def send(self, client: Any, points: Iterable[Point]) -> None:
        """Log the points whose value at that step the run does not have yet."""
        new: dict[tuple[str, int, float], Point] = {}
        for point in points:
            if (point.step, point.value) not in self._of(client, point.name):
                new[point[:3]] = point
        from mlflow.entities import Metric

        every = list(new.values())
        for start in range(0, len(every), _AT_ONCE):
            some = every[start : start + _AT_ONCE]
            client.log_batch(self._run, metrics=[Metric(p.name, p.value, p.at, p.step) for p in some])
            for point in some:
                self._have[point.name].add((point.step, point.value))

    def _of(self, client: Any, name: str) -> set[tuple[int, float]]:
        """What the run has of a curve: asked once, it is ours alone."""
        if name not in self._have:
            self._have[name] = {(one.step, one.value) for one in client.get_metric_history(self._run, name)}
        return self._have[name]
