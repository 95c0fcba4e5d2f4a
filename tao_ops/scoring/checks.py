"""What can be known to be wrong with a flywheel's scorers before anything is scored."""

from tao_ops.config import Flywheel
from tao_ops.rewards import Setting, TaskScorers
from tao_ops.scoring import labels


def check_scoring(flywheel: Flywheel) -> None:
    """Build the scorers of all tasks and read their anchors; no model is loaded or asked.

    Raises:
        ConfigError: a file, a schema, a rubric, a database or a scorer of one's own cannot be used, or an anchor is an
            item of a benchmark.
    """
    for name, task in flywheel.tasks.items():
        TaskScorers(task.scorers, Setting(flywheel.file(""), task.json_schema))
        labels.anchors(flywheel, name)
