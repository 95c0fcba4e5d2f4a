"""A benchmark's own judge: another model than those that the update's reward asks; the YAML is checked for that."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from tao_ops.benchmarks.item_sets import ItemSet
from tao_ops.config import JudgeConfig
from tao_ops.errors import ConfigError, DataError
from tao_ops.records import Candidate, Prompt
from tao_ops.rewards import Models, Setting
from tao_ops.rewards.scorers import build

UNDECIDED = 0.05
"""Largest share of the items that a judge may have no verdict on."""


def version(judge: JudgeConfig, include: Path) -> str:
    """Eight hex digits that change with the judge's model, rubric or instructions: scores of another are not its.

    Raises:
        ConfigError: one of its files cannot be read.
    """
    told = [judge.model_dump_json()]
    for path in (include / judge.rubric, include / judge.template_file):
        try:
            told.append(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"the judge's file cannot be read: {error}", where=path, mend="save it as UTF-8"
            ) from None
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:8]


def scores(judge: JudgeConfig, items: ItemSet, outputs: Sequence[str], models: Models, include: Path) -> list[float]:
    """The probability that each output is right, says the judge, in the order of the items.

    An output on which it has no clear verdict counts as neither right nor wrong, 0.5.

    Raises:
        ConfigError: the judge's rubric, instructions or model cannot be used.
        DataError: it gave none on more than a twentieth of the items: two models could not be compared.
        EngineError: it cannot be reached.
    """
    batch = []
    for item, output in zip(items.items, outputs, strict=True):
        prompt = Prompt(item.item_id, "", item.messages)
        reference = json.dumps(dict(item.reference), ensure_ascii=False) if item.reference else None
        batch.append(Candidate(item.item_id, prompt.text, output, "", prompt.context, reference))
    scorer = build(judge, Setting(include, models=models))
    assert scorer is not None
    found = scorer(batch)
    without = [(item, score) for item, score in zip(items.items, found, strict=True) if score.value is None]
    if len(without) > UNDECIDED * len(found):
        item, score = without[0]
        raise DataError(
            f"the judge of {items.name} gave no verdict on {len(without)} of {len(found)} items: {score.reason}",
            where=f"the first: {item.item_id}",
            mend="see that it answers, and that items and answers fit into its context; then run evaluate again",
        )
    return [0.5 if score.value is None else score.value for score in found]
