"""Scores one task's responses of a shard: scores first, then the calibrator, then rewards, then what watches them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tao_ops.config import Flywheel, ScorerConfig, TaskConfig
from tao_ops.lake import Lake
from tao_ops.records import Candidate, Progress, Prompt
from tao_ops.rewards import Models, Scored, Setting, TaskScorers, combine
from tao_ops.rewards.calibration import Calibrator, Case
from tao_ops.rewards.probes import Group, Outcome, ProbeReport, barred, build, report
from tao_ops.rewards.scorers import rubrics
from tao_ops.scoring import labels, watching
from tao_ops.scoring.calibrating import Calibration, calibrate, newest
from tao_ops.scoring.labels import Labelled
from tao_ops.scoring.watching import Watched
from tao_ops.turn import Turn


@dataclass(frozen=True)
class Shard:
    """Where a task's responses are from.

    Attributes:
        models: those that scorers ask; None where none of them asks one.
        seed: of everything that is drawn.
    """

    lake: Lake
    flywheel: Flywheel
    turn: Turn
    models: Models | None
    seed: int
    say: Progress


@dataclass(frozen=True)
class TaskRewards:
    """What came of a task's responses.

    Attributes:
        scored: of each response, in order.
        best: by query, the best of its rewards, 0 where none has one.
        judged: production responses with feedback, scored beside them.
        barred: scorers that the rewards do without.
    """

    scored: Sequence[Scored]
    best: Mapping[str, float]
    judged: Sequence[tuple[Labelled, Scored]]
    calibration: Calibration
    probes: ProbeReport
    barred: Collection[str]
    watched: Watched


def score_task(shard: Shard, task: str, candidates: Sequence[Candidate], prompts: Mapping[str, Prompt]) -> TaskRewards:
    """Score responses to ``prompts``, by query, of one task.

    Raises:
        ConfigError: a scorer or the file of anchors cannot be used.
        EngineError: a model cannot be asked.
    """
    config = shard.flywheel.tasks[task]
    setting = Setting(shard.flywheel.file(""), config.json_schema, shard.models)
    scorers = TaskScorers(config.scorers, setting)
    anchors = labels.anchors(shard.flywheel, task)
    judged, right = labels.feedback(shard.lake, shard.flywheel, shard.turn, task, prompts)
    every = scorers.score([*candidates, *(one.candidate for one in judged)])
    scored, beside = every[: len(candidates)], every[len(candidates) :]
    # A batch of their own: their pools must not pass for the shard's, where a collapse is looked for.
    anchored = scorers.score([one.candidate for one in anchors], guarded=False)
    turns = labels.same_scorers(shard.lake, shard.flywheel, shard.turn, task)
    before = newest(shard.lake, shard.turn.flywheel, task, turns)
    cases = _Cases(config.scorers, labels.earlier(shard.lake, shard.flywheel, task, turns), before)
    told = labels.corrected(shard.flywheel, task, candidates, right)
    cases.add(candidates, scored, told, [*anchors, *judged], [*anchored, *beside])
    calibration = cases.calibrate(config, shard.seed)
    rewarded = scorers.rewarded(scored, calibrator=calibration.calibrator)
    tried = _probe(scorers, config, candidates, rewarded, calibration, shard.seed)
    out = barred(tried, config.scorers, config.probes)
    if out:
        shard.say(f"{task}: barred from this turn's rewards: {', '.join(sorted(out))}")
        calibration = cases.calibrate(config, shard.seed, out)
    rewarded = scorers.rewarded(scored, calibrator=calibration.calibrator, barred=out)
    beside = scorers.rewarded(beside, calibrator=calibration.calibrator, barred=out)
    return TaskRewards(
        scored=rewarded,
        best=_best(candidates, rewarded),
        judged=list(zip(judged, beside, strict=True)),
        calibration=calibration,
        probes=tried,
        barred=out,
        watched=watching.watch(shard.lake, shard.turn, task, config.monitors, candidates, rewarded),
    )


def _best(candidates: Sequence[Candidate], rewarded: Sequence[Scored]) -> dict[str, float]:
    best: dict[str, float] = {}
    for candidate, scored in zip(candidates, rewarded, strict=True):
        best[candidate.query_id] = max(best.get(candidate.query_id, 0.0), scored.reward or 0.0)
    return best


class _Cases:
    """All cases that are known of a task: labelled ones, by whether something refuses them, and the turn's own."""

    def __init__(self, configs: Sequence[ScorerConfig], earlier: labels.Known, before: Calibrator | None) -> None:
        self._configs, self._before = configs, before
        self.labelled, self.refused = list(earlier.labelled), list(earlier.refused)
        self.own: list[Case] = []

    def add(
        self,
        candidates: Sequence[Candidate],
        scored: Sequence[Scored],
        told: Sequence[float | None],
        known: Sequence[Labelled],
        beside: Sequence[Scored],
    ) -> None:
        """Add the turn's responses, and those with a label beside them.

        Args:
            told: of each candidate, what a corrected answer says of it; a verifier that decides knows better.
        """
        for one, score in zip(known, beside, strict=True):
            if score.scores:
                self._put(one.case(score), vetoed=score.vetoed)
        for candidate, score, label in zip(candidates, scored, told, strict=True):
            if len(self.labelled) + len(self.refused) < labels.MOST:
                self._label(candidate, score, label)
            if not score.vetoed and score.scores:
                self.own.append(Case(candidate.query_id, score.scores))

    def calibrate(self, config: TaskConfig, seed: int, out: Collection[str] = ()) -> Calibration:
        """The calibrator without the scorers that are barred."""
        configs = [one for one in self._configs if one.name not in out]
        return calibrate(
            config.calibration,
            configs,
            labelled=self.labelled,
            refused=self.refused,
            unlabelled=self.own,
            rewards=[combine.combine(configs, case.scores) for case in self.labelled],
            before=self._before,
            seed=seed,
        )

    def _label(self, candidate: Candidate, score: Scored, told: float | None) -> None:
        """One of the turn's own responses, where a verifier or a corrected answer says what it is."""
        case = labels.verified(self._configs, candidate.query_id, score.scores)
        if case is not None:
            self._put(case, vetoed=labels.refused(self._configs, case.scores, score.flags))
        elif told is not None and score.scores:
            self._put(Case(candidate.query_id, score.scores, told, "corrected"), vetoed=score.vetoed)

    def _put(self, case: Case, *, vetoed: bool) -> None:
        (self.refused if vetoed else self.labelled).append(case)


def _probe(
    scorers: TaskScorers,
    config: TaskConfig,
    candidates: Sequence[Candidate],
    rewarded: Sequence[Scored],
    calibration: Calibration,
    seed: int,
) -> ProbeReport:
    """What the scorers make of probes, put among the candidates of their query."""
    pools: dict[str, list[tuple[Candidate, Scored]]] = {}
    for candidate, scored in zip(candidates, rewarded, strict=True):
        pools.setdefault(candidate.query_id, []).append((candidate, scored))
    groups = []
    for pool in pools.values():
        best, worth = max(pool, key=lambda one: one[1].reward or 0.0)
        if worth.reward:
            groups.append(Group(best, tuple(other for other, _ in pool if other is not best)))
    probes = build(groups, rubrics=rubrics(scorers.configs, scorers.setting), seed=seed, most=config.probes.queries)
    probed = {probe.candidate.query_id for probe in probes}
    around = [candidate for candidate in candidates if candidate.query_id in probed]
    honest = {id(candidate): scored for candidate, scored in zip(candidates, rewarded, strict=True)}
    batch = [*around, *(replace(probe.candidate, votes=False) for probe in probes)]
    found = scorers.score(batch, calibrator=calibration.calibrator, guarded=False)[len(around) :]
    outcomes = [
        Outcome(probe, one.scores, one.reward, honest[id(probe.honest)].scores, honest[id(probe.honest)].reward)
        for probe, one in zip(probes, found, strict=True)
    ]
    return report(outcomes, scorers.configs, config.probes)


def rows(rewards: TaskRewards, responses: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of ``rewards``: the responses', and those of production responses that users judged."""
    found, version = [], rewards.calibration.version
    for response, scored in zip(responses, rewards.scored, strict=True):
        cut = ("truncated",) if response["finish_reason"] == "length" else ()
        found.append(_row(response["response_id"], response["query_id"], scored, cut, version))
    for one, scored in rewards.judged:
        found.append(_row(one.response_id, one.candidate.query_id, scored, (), version))
    return found


def _row(response_id: str, query_id: str, scored: Scored, further: Sequence[str], version: str) -> dict[str, Any]:
    return {
        "response_id": response_id,
        "query_id": query_id,
        "scores": list(scored.scores.items()),
        "undecided": list(scored.undecided.items()),
        "reward": scored.reward,
        "flags": [*scored.flags, *further],
        "calibrator_version": version,
    }
