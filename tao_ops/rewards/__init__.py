"""Rewards that need no labels: one file per scorer, each a pure function over a batch; all become one number."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from tao_ops.config import ConsensusConfig, ScorerConfig
from tao_ops.config.scorers import Flag
from tao_ops.records import Candidate
from tao_ops.rewards import combine, consensus, flags
from tao_ops.rewards.base import Models, Score, Scorer
from tao_ops.rewards.combine import EMPTY, Calibrated, is_verifier
from tao_ops.rewards.scorers import Setting, answers, build

__all__ = ["Calibrated", "Models", "Score", "Scored", "Scorer", "Setting", "TaskScorers", "cheap"]


@dataclass(frozen=True)
class Scored:
    """What a candidate is worth.

    Attributes:
        scores: in [0, 1], of each scorer that decided.
        undecided: why not, of each that did not.
        flags: the marks that it carries.
        answer: what it says, as answers are compared; empty where it says nothing.
        verified: what the verifiers alone say, in [0, 1]; it does not change with the query's other candidates.
        unknown: verifiers that could not decide here, but could of the query's other candidates.
        vetoed: whether it is worth nothing, whatever its scores.
        reward: all of it as one number in [0, 1]; None where no scorer decided.
    """

    scores: Mapping[str, float]
    undecided: Mapping[str, str]
    flags: tuple[str, ...]
    answer: str
    verified: float
    unknown: frozenset[str]
    vetoed: bool
    reward: float | None


class TaskScorers:
    """The scorers of a task, ready to use.

    Raises:
        ConfigError: one of them cannot be built.
    """

    def __init__(self, configs: Sequence[ScorerConfig], setting: Setting) -> None:
        self.configs, self.setting = tuple(configs), setting
        self._scorers = {c.name: scorer for c in configs if (scorer := build(c, setting)) is not None}
        self._consensus = next((c for c in configs if isinstance(c, ConsensusConfig)), None)
        self._answers = answers(self._consensus, setting)

    def score(
        self,
        batch: Sequence[Candidate],
        *,
        calibrator: Calibrated | None = None,
        barred: Collection[str] = (),
        guarded: bool = True,
    ) -> list[Scored]:
        """All scorers over a batch, in its order; a query's candidates are in one batch.

        Verifiers come first: a vote counts as far as they believe it, and not at all where a flag rejects. Consensus
        comes last, since it is checked against the others.

        Args:
            guarded: whether consensus looks for signs of collapse in the batch; it does not where the batch is made up,
                as anchors and probes are.
        """
        columns = {name: scorer(batch) for name, scorer in self._scorers.items()}
        marks = [
            mark if candidate.text.strip() else (EMPTY, *mark)
            for candidate, mark in zip(batch, flags.mark(self.configs, batch), strict=True)
        ]
        said = self._answers(batch)
        rows = [{name: column[i] for name, column in columns.items()} for i in range(len(batch))]
        rejecting = {EMPTY, *flags.rejects(self.configs)}
        unknown = self._unknown(batch, rows)
        trust = [
            0.0 if rejecting & set(mark) else combine.verified(self.configs, _decided(row), missing)
            for row, mark, missing in zip(rows, marks, unknown, strict=True)
        ]
        if self._consensus is not None:
            votes = consensus.score(
                batch,
                config=self._consensus,
                answers=said,
                trust=trust,
                others=[_mean(row.values()) for row in rows],
                guarded=guarded,
            )
            rows = [{**row, self._consensus.name: vote} for row, vote in zip(rows, votes, strict=True)]
        scored = [
            Scored(
                scores=_decided(row),
                undecided={name: one.reason for name, one in row.items() if one.value is None},
                flags=mark,
                answer=consensus.key_of(answer),
                verified=trusted,
                unknown=missing,
                vetoed=combine.vetoed(self.configs, _decided(row), mark),
                reward=None,
            )
            for row, mark, answer, trusted, missing in zip(rows, marks, said, trust, unknown, strict=True)
        ]
        return self.rewarded(scored, calibrator=calibrator, barred=barred)

    def rewarded(
        self, scored: Sequence[Scored], *, calibrator: Calibrated | None = None, barred: Collection[str] = ()
    ) -> list[Scored]:
        """The same scores with their reward by ``calibrator``, without those of scorers that are ``barred``."""
        return [
            replace(
                one,
                reward=0.0
                if one.vetoed
                else combine.combine(
                    self.configs, one.scores, unknown=one.unknown, calibrator=calibrator, barred=barred
                ),
            )
            for one in scored
        ]

    def _unknown(self, batch: Sequence[Candidate], rows: Sequence[Mapping[str, Score]]) -> list[frozenset[str]]:
        """Of each candidate the verifiers that had a verdict on others of its query, and none on it."""
        decided: dict[str, set[str]] = {}
        for candidate, row in zip(batch, rows, strict=True):
            decided.setdefault(candidate.query_id, set()).update(_decided(row))
        names = {config.name for config in self.configs if is_verifier(config)}
        return [
            frozenset((names & decided[candidate.query_id]) - set(_decided(row)))
            for candidate, row in zip(batch, rows, strict=True)
        ]


def cheap(configs: Sequence[ScorerConfig]) -> tuple[ScorerConfig, ...]:
    """The scorers and flags that ask no model: exploration scores each round by them."""
    return tuple(
        config
        for config in configs
        if is_verifier(config)
        or isinstance(config, Flag)
        or (isinstance(config, ConsensusConfig) and config.embedding is None)
    )


def _decided(row: Mapping[str, Score]) -> dict[str, float]:
    return {name: one.value for name, one in row.items() if one.value is not None}


def _mean(scores: Collection[Score]) -> float | None:
    values = [one.value for one in scores if one.value is not None]
    return sum(values) / len(values) if values else None
