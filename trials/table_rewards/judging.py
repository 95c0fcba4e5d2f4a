"""What a judge adds where grounding cannot tell: the number of a neighbouring cell, which stands in the document, too.

The judge is the embedded model, the one that runs everywhere; a server's model may be named in ``TAO_TRIAL_JUDGE``
(its address, a blank, its name).
"""

import os
from collections.abc import Sequence
from typing import Any

from tao_ops.backends.scoring_models import ScoringModels
from tao_ops.config import EngineConfig, JudgeConfig, ServerConfig
from tao_ops.errors import ModelError
from tao_ops.records import Candidate, ModelRef
from tao_ops.rewards import Score, judge
from tao_ops.rewards.grounding import numbers
from tao_ops.settings import Settings
from trials.table_rewards.data import Item

QUESTIONS = 60
KIND = "neighbour"
RUBRIC = (
    "The user sends a part of a financial report and a question about it. A right answer gives the very figure that is "
    "asked for: of the right row, the right year or column, and in the right unit. A figure of another row or year is "
    "wrong, although it stands in the report."
)


def verdicts(items: Sequence[Item], seed: int) -> dict[str, Any]:
    """Grounding's and the judge's scores of right answers and of a neighbouring cell's, on the first questions.

    Questions that are too long for the judge's context are left out of both.
    """
    there = [item for item in items if KIND in item.wrong][:QUESTIONS]
    batch = [
        Candidate(f"q{i}", item.query, text) for i, item in enumerate(there) for text in (item.right, item.wrong[KIND])
    ]
    config, models = _judge(seed)
    template = (Settings.from_env().include / config.template_file).read_text(encoding="utf-8")
    said = judge.score(batch, config=config, rubric=RUBRIC, template=template, judge=models.judge(config))
    grounded = numbers.score(batch)
    decided = [i for i in range(0, len(batch), 2) if all(_both(said, grounded, i + k) for k in (0, 1))]
    return {
        "judge": config.asked,
        "questions": len(there),
        "decided": len(decided),
        **{
            name: [(one[i].value, one[i + 1].value) for i in decided]
            for name, one in (("grounding", grounded), ("judge_says", said))
        },
    }


def _both(said: Sequence[Score], grounded: Sequence[Score], i: int) -> bool:
    return said[i].decided and grounded[i].decided


def _judge(seed: int) -> tuple[JudgeConfig, ScoringModels]:
    settings = Settings.from_env()
    told: dict[str, Any] = {"kind": "judge", "name": "judge", "rubric": "none"}
    if named := os.environ.get("TAO_TRIAL_JUDGE"):
        url, _, model = named.partition(" ")
        told["server"] = ServerConfig(url=url, model=model)
    models = ScoringModels(
        include=settings.include, cache=settings.cache, champion=_no_champion, engine=EngineConfig(), seed=seed
    )
    return JudgeConfig(**told), models


def _no_champion() -> ModelRef:
    raise ModelError("a trial has no champion")
