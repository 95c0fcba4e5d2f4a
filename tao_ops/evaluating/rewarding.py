"""What the flywheel's own scorers would have paid for each output: the gate looks whether they were only pleased."""

from collections.abc import Mapping, Sequence
from typing import Any

from tao_ops.benchmarks.item_sets import Item
from tao_ops.config import ConsensusConfig, Flywheel, JudgeConfig, RewardModelConfig
from tao_ops.evaluating.exams import CONTROL, Exam
from tao_ops.records import Candidate, Prompt
from tao_ops.rewards import Setting, TaskScorers


def with_rewards(flywheel: Flywheel, exams: Sequence[Exam], rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows with ``reward``, in [0, 1], of champion and candidate; None where the task's scorers don't decide.

    By the scorers of now, for stored outputs too, so that both arms' rewards are of the same ones. They see no
    reference, and are combined by rule: a calibrator is of one turn. Consensus has no say over one answer. Judges and
    reward models, which need a model of their own, are left out here. What the harness asked has no reward, nor has the
    control; of an output that is not kept the stored one stands.

    Raises:
        ConfigError: a scorer cannot be built.
    """
    scorers: dict[str, TaskScorers] = {}
    found = [dict(row) for row in rows]
    for exam in exams:
        if exam.by_harness or exam.arm == CONTROL:
            continue
        if exam.task not in scorers:
            scorers[exam.task] = _scorers(flywheel, exam.task)
        by_id = {item.item_id: item for item in exam.items.items}
        mine = [row for row in found if row["arm"] == exam.arm and row["benchmark"] == exam.benchmark.name]
        mine = [row for row in mine if row.get("text", row["output"]) is not None]
        batch = [_candidate(by_id[row["item_id"]], row.get("text", row["output"])) for row in mine]
        for row, scored in zip(mine, scorers[exam.task].score(batch, guarded=False), strict=True):
            row["reward"] = scored.reward
    for row in found:
        row.pop("text", None)
    return found


def _scorers(flywheel: Flywheel, task: str) -> TaskScorers:
    config = flywheel.tasks[task]
    alone = [one for one in config.scorers if not isinstance(one, (ConsensusConfig, JudgeConfig, RewardModelConfig))]
    return TaskScorers(alone, Setting(flywheel.file(""), config.json_schema))


def _candidate(item: Item, text: str) -> Candidate:
    prompt = Prompt(item.item_id, "", tuple(m for m in item.messages if m["role"] not in ("system", "developer")))
    return Candidate(item.item_id, prompt.text, text, "", prompt.context)
