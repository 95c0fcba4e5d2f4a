"""Scores any version on any benchmark from a form: ``tao registry evaluate``."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from airflow.sdk import Param

from tao_airflow.connections import handed_over
from tao_airflow.forms import Form, FormOperator, names, one_flywheel, one_or_all
from tao_ops.config import Flywheel

NAME = "evaluate"


def form(flywheels: Sequence[Flywheel]) -> dict[str, Param]:
    """The fields of the form; Airflow starts no run where one of them is wrong."""
    return {
        "flywheel": one_flywheel(names(flywheels)),
        "version": Param(
            None,
            type=["null", "integer"],
            exclusiveMinimum=-1,  # with a minimum the form makes 0, the base model, of -3 without a word
            title="Version",
            description="What is scored; 0 is the base model. Empty: the champion.",
        ),
        "benchmark": one_or_all(
            "Benchmark",
            _benchmarks(flywheels),
            otherwise="all benchmarks of the flywheel",
            description="One of the flywheel's own; another one is refused by the task.",
        ),
        "limit": Param(
            None,
            type=["null", "integer"],
            exclusiveMinimum=0,
            title="Items",
            description="The first so many of each benchmark. Empty: all, and then stored scores are used again.",
        ),
    }


def _benchmarks(flywheels: Sequence[Flywheel]) -> dict[str, str]:
    """Names of all benchmarks, each with whose it is."""
    owners: defaultdict[str, list[str]] = defaultdict(list)
    for flywheel in flywheels:
        for task in flywheel.tasks.values():
            for benchmark in task.benchmarks:
                owners[benchmark.name].append(flywheel.name)
    return {name: f"{name} (of {', '.join(mine)})" for name, mine in sorted(owners.items())}


class EvaluateOperator(FormOperator):
    """``tao registry evaluate FLYWHEEL [VERSION] [--benchmark NAME] [--limit N]``."""

    def commands(self, form: Form, run: Any) -> Iterator[tuple[str, ...]]:
        """The one command."""
        words = ["registry", "evaluate", form["flywheel"]]
        if form.get("version") is not None:
            words.append(str(int(form["version"])))
        if form.get("benchmark") is not None:
            words += ["--benchmark", form["benchmark"]]
        if form.get("limit") is not None:
            words += ["--limit", str(int(form["limit"]))]
        yield tuple(words)

    def environment(self) -> dict[str, str]:
        """With the Connections of the flywheel that is evaluated: one may hold the key of a judge."""
        return {**super().environment(), **handed_over(self.command[2])}
