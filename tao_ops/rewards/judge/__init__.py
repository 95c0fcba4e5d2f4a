"""``judge``: a language model's verdict, read from the probabilities of its answer's first token, not from its text.

``single`` asks of each response whether it is right, ``pairwise`` which of two is better, ``group`` which of all of a
query is best. Where positions could matter, each question is asked in an order and in its reverse. Equal responses
are asked about once. What the judge did not answer is undecided, never zero.
"""

from collections.abc import Sequence

from tao_ops.config import JudgeConfig
from tao_ops.records import Candidate
from tao_ops.rewards.base import Judge, Score
from tao_ops.rewards.judge import group, pairwise, single
from tao_ops.rewards.judge.conversations import instructions

__all__ = ["score"]


def score(batch: Sequence[Candidate], *, config: JudgeConfig, rubric: str, template: str, judge: Judge) -> list[Score]:
    """What the judge thinks of each candidate, in [0, 1].

    Args:
        batch: a query's candidates are in one batch; those that don't vote change no other candidate's score.
        rubric: what a right answer is, in plain words: the text of ``config.rubric``.
        template: the judge's instructions, with ``{{ rubric }}``: the text of ``config.template_file``.

    Raises:
        ConfigError: the rubric is empty, or the template lacks ``{{ rubric }}`` or names another field.
        EngineError: the judge is not there.

    >>> class Agreeable:
    ...     def next_word(self, conversations, words):
    ...         return [{"Yes": -0.1, "No": -2.4} for _ in conversations]
    >>> config = JudgeConfig(name="judge", kind="judge", rubric="rubric.txt")
    >>> [one] = score([Candidate("q", "2 + 2?", "4")], config=config, rubric="The sum is right.",
    ...               template="Grade the response: {{ rubric }}", judge=Agreeable())
    >>> round(one.value, 3)
    0.909
    """
    head = instructions(template, rubric, where=config.template_file)
    match config.mode:
        case "single":
            return single.score(batch, head=head, judge=judge)
        case "pairwise":
            return pairwise.score(batch, head=head, judge=judge, most=config.most)
        case "group":
            return group.score(batch, head=head, judge=judge, most=config.most)
