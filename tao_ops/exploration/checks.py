"""What can be known to be wrong with a flywheel's exploration before any engine starts."""

from tao_ops import exam, strategies
from tao_ops.backends import structure
from tao_ops.config import Flywheel, TaskConfig
from tao_ops.records import Structure
from tao_ops.strategies.demonstrations import load_examples


def check_exploration(flywheel: Flywheel) -> None:
    """Read all that the strategies of all tasks need.

    Raises:
        ConfigError: a template, a file of examples, a schema or a grammar cannot be used, or an example is an item of
            a benchmark; the message names file and line.
    """
    for name, task in flywheel.tasks.items():
        built = strategies.build(flywheel, name, seed=flywheel.seed)
        _check_structures(flywheel, task, {one.structure for one in built.values() if one.structure is not None})
        for file in {one.file: None for one in task.strategies if one.file is not None}:
            path = flywheel.file(file)
            lines = path.read_text(encoding="utf-8").split("\n")
            numbers = [number for number, line in enumerate(lines, 1) if line.strip()]
            examples = load_examples(path)
            exam.refuse_exam(
                flywheel, name, {f"{path}:{n}": example for n, example in zip(numbers, examples, strict=True)}
            )


def _check_structures(flywheel: Flywheel, task: TaskConfig, structures: set[Structure]) -> None:
    for one in structures:
        structure.check(one, flywheel.file(task.json_schema or task.grammar or ""))
