"""The calibrator of a shard: fitted anew each turn to all labels that are known, or to the scorers' agreement."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tao_ops.config import CalibrationConfig, ScorerConfig
from tao_ops.config.scorers import Flag
from tao_ops.lake import Lake
from tao_ops.rewards.calibration import CalibrationReport, Calibrator, Case, agreement, fit, moved, out_of_fold, report
from tao_ops.rewards.combine import VERSION, decides
from tao_ops.tables import TURNS


@dataclass(frozen=True)
class Calibration:
    """What a shard's rewards are made by.

    Attributes:
        calibrator: None where scores are combined by rule.
        reason: why there is none, or what it was fitted to.
        report: how good it is on the labels that there are, each judged without having been fitted to; None without.
        moved: mean absolute change of the probability of the shard's responses, against the newest earlier turn's
            calibrator; None without one.
    """

    calibrator: Calibrator | None
    reason: str
    report: CalibrationReport | None
    moved: float | None = None

    @property
    def version(self) -> str:
        """Names it in ``rewards.calibrator_version``."""
        return VERSION if self.calibrator is None else self.calibrator.version

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as the stage's report holds them."""
        return {
            "version": self.version,
            "reason": self.reason,
            "calibrator": None if self.calibrator is None else self.calibrator.as_dict(),
            "report": None if self.report is None else self.report.as_dict(),
            "moved": self.moved,
        }

    def sentence(self) -> str:
        """What it is, as the log says it."""
        told, quality = self.report, ""
        if told is not None and told.ece is not None:
            auroc = "undefined" if told.auroc is None else f"{told.auroc.value:.3f}"
            quality = f"; on {told.n} labels AUROC {auroc}, Brier {told.brier.value if told.brier else 0:.3f}"
            quality += f", ECE {told.ece.value:.3f} [{told.ece.low:.3f}, {told.ece.high:.3f}]"
        what = "combined by rule" if self.calibrator is None else f"calibrator {self.version}"
        drift = "" if self.moved is None else f"; probabilities moved by {self.moved:.3f} since the turn before"
        return f"{what}: {self.reason}{quality}{drift}"


def scorer_names(configs: Sequence[ScorerConfig]) -> tuple[str, ...]:
    """The scorers that a calibrator weighs: not the flags, nor those whose verdict is the truth."""
    return tuple(c.name for c in configs if not isinstance(c, Flag) and not decides(c))


def calibrate(
    config: CalibrationConfig,
    configs: Sequence[ScorerConfig],
    *,
    labelled: Sequence[Case],
    refused: Sequence[Case],
    unlabelled: Sequence[Case],
    rewards: Sequence[float | None],
    before: Calibrator | None,
    seed: int,
) -> Calibration:
    """Fit to the labels; where they are too few, to the scorers' agreement; else say why not.

    Args:
        labelled: cases with a label that nothing vetoes.
        refused: those with a label that something vetoes: their probability is 0, whatever is fitted.
        unlabelled: the shard's own responses that nothing vetoes.
        before: the newest earlier turn's.
        rewards: of ``labelled`` by rule, which are reported on where nothing is fitted.
        seed: of folds and resamples.
    """
    names = scorer_names(configs)
    found = fit(labelled, names=names, least=config.least, isotonic=config.isotonic, seed=seed)
    if isinstance(found, str):
        why, held = f"{len(labelled)} labels, {found}", list(rewards)
        found = agreement(unlabelled, names=names, least=config.least, seed=seed)
        if not isinstance(found, str):
            held = found.probabilities([case.scores for case in labelled])
    else:
        why, held = "", out_of_fold(labelled, names=names, isotonic=config.isotonic, seed=seed)
    every = [*labelled, *refused]
    known = report(every, [*held, *[0.0] * len(refused)], names=names, seed=seed) if every else None
    if isinstance(found, str):
        return Calibration(None, f"{why}; {found}", known)
    drift = None if before is None else moved(before, found, [case.scores for case in unlabelled])
    return Calibration(found, f"fitted to {found.source}" + (f" ({why})" if why else ""), known, drift)


def newest(lake: Lake, flywheel: str, task: str, turns: Sequence[str]) -> Calibrator | None:
    """The calibrator of the newest of ``turns``; of its shards, the first that has one; None without any.

    Args:
        turns: of :func:`~tao_ops.scoring.labels.same_scorers`.
    """
    if not turns:
        return None
    where: dict[str, Any] = {"flywheel": flywheel, "turn": turns[-1], "stage": "score"}
    rows = lake.read(TURNS, columns=["shard", "metrics"], **where).to_pylist()
    for row in sorted(rows, key=lambda row: int(row["shard"])):
        told = json.loads(row["metrics"]).get("calibration", {}).get(task, {}).get("calibrator")
        if told is not None:
            return Calibrator.from_dict(told, where=f"turn {turns[-1]}, shard {row['shard']}")
    return None
