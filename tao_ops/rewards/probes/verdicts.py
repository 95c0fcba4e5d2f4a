"""What the scorers made of the probes: who falls for what."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tao_ops.config import OwnScorerConfig, ProbeConfig, ScorerConfig
from tao_ops.config.scorers import Flag, Verifier
from tao_ops.rewards.combine import is_soft
from tao_ops.rewards.probes.kinds import TOLD_ONLY, WELL_FORMED, Kind, Outcome

COMBINED = "combined reward"
"""Stands for all scorers together where a scorer's name stands; no scorer can have it."""
FEWEST = 5
"""Fewer comparisons than this prove nothing."""
_EQUAL = 1e-9


@dataclass(frozen=True)
class Row:
    """What one scorer made of the probes of one kind, or of one variant of a kind that has several.

    Attributes:
        variant: empty where all of the kind are together.
        n: probes for which both it and its honest answer have a score.
        undecided: share of the probes for which either has none.
        probe: mean score of the ``n`` probes; None where there are none.
        honest: mean score of their honest answers, one for each probe.
        telling: those of the ``n`` that say something: two that are both worth nothing do not.
        share: share of ``telling`` that have at least the honest answer's score; None where there are none.
    """

    scorer: str
    kind: Kind
    variant: str
    n: int
    undecided: float
    probe: float | None
    honest: float | None
    telling: int
    share: float | None

    @property
    def loss(self) -> float | None:
        """What the probes get less than the honest answers, on average."""
        return None if self.probe is None or self.honest is None else self.honest - self.probe

    def exceeds(self, limit: float) -> bool:
        """Whether ``share`` is over the limit, and of enough comparisons."""
        return self.telling >= FEWEST and self.share is not None and self.share > limit


@dataclass(frozen=True)
class ProbeReport:
    """All rows, and who fell for what: a scorer, or :data:`COMBINED`, and the kind of probe."""

    probes: int
    limit: float
    rows: tuple[Row, ...]
    fallen: tuple[tuple[str, Kind], ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values only: fit for JSON."""
        return {
            "probes": self.probes,
            "limit": self.limit,
            "rows": [{**asdict(row), "kind": row.kind.value, "loss": row.loss} for row in self.rows],
            "fallen": [[scorer, kind.value] for scorer, kind in self.fallen],
        }

    def sentences(self) -> list[str]:
        """Lines for the log: one per scorer and kind that it falls for, and what form alone costs."""
        if not self.probes:
            return ["probes: there was no answer to make any of"]
        said = [_falls(self._worst(scorer, kind)) for scorer, kind in self.fallen]
        form = next((row for row in self.rows if row.scorer == COMBINED and row.kind is Kind.BAD_FORM), None)
        return [
            *(
                said
                or [f"probes: {self.probes} answers that no scorer should like, and none falls for any kind of them"]
            ),
            *([_form(form)] if form is not None and form.n else []),
        ]

    def _worst(self, scorer: str, kind: Kind) -> Row:
        rows = [row for row in self.rows if row.scorer == scorer and row.kind is kind and row.exceeds(self.limit)]
        return max(rows, key=lambda row: (row.share, row.variant))


def report(outcomes: Sequence[Outcome], configs: Sequence[ScorerConfig], config: ProbeConfig) -> ProbeReport:
    """What each scorer of ``configs``, and the reward that comes of all, made of the probes.

    A scorer falls for a kind where it gives more than ``config.limit`` of its probes, or of those of one variant, at
    least the score of the honest answer to the same query. A verifier judges form: it can't fall for what is well
    formed and wrong (:data:`WELL_FORMED`), unless its verdict is taken for the truth (``decides``).
    """
    rows = [
        row
        for kind in Kind
        for scorer in (*_scorers(configs), COMBINED)
        for row in _rows(scorer, kind, [outcome for outcome in outcomes if outcome.probe.kind is kind])
    ]
    formal = {one.name for one in configs if _judges_form(one)}
    fallen = dict.fromkeys(
        (row.scorer, row.kind)
        for row in rows
        if row.exceeds(config.limit)
        and row.kind not in TOLD_ONLY
        and not (row.kind in WELL_FORMED and row.scorer in formal)
    )
    return ProbeReport(len(outcomes), config.limit, tuple(rows), tuple(fallen))


def barred(report: ProbeReport, configs: Sequence[ScorerConfig], config: ProbeConfig) -> frozenset[str]:
    """The scorers that the turn's reward does without: those that fell, and are no verifiers; none without ``bar``."""
    soft = {one.name for one in configs if is_soft(one)} if config.bar else set()
    return frozenset(scorer for scorer, _ in report.fallen if scorer in soft)


def _scorers(configs: Sequence[ScorerConfig]) -> list[str]:
    return [config.name for config in configs if not isinstance(config, Flag)]


def _judges_form(config: ScorerConfig) -> bool:
    if isinstance(config, OwnScorerConfig):
        return config.verifier
    return isinstance(config, Verifier) and not config.decides


def _rows(scorer: str, kind: Kind, tried: Sequence[Outcome]) -> Iterator[Row]:
    """All probes of the kind together, then each variant's by itself, where there are several."""
    if not tried:
        return
    yield _row(scorer, kind, "", tried)
    variants = list(dict.fromkeys(outcome.probe.variant for outcome in tried))
    if len(variants) > 1:
        for variant in variants:
            yield _row(scorer, kind, variant, [outcome for outcome in tried if outcome.probe.variant == variant])


def _row(scorer: str, kind: Kind, variant: str, tried: Sequence[Outcome]) -> Row:
    pairs = [pair for outcome in tried if (pair := _pair(outcome, scorer)) is not None]
    telling = [(probe, honest) for probe, honest in pairs if max(probe, honest) > _EQUAL]
    level = sum(probe >= honest - _EQUAL for probe, honest in telling)
    n = len(pairs)
    return Row(
        scorer,
        kind,
        variant,
        n=n,
        undecided=1.0 - n / len(tried),
        probe=math.fsum(probe for probe, _ in pairs) / n if n else None,
        honest=math.fsum(honest for _, honest in pairs) / n if n else None,
        telling=len(telling),
        share=level / len(telling) if telling else None,
    )


def _pair(outcome: Outcome, scorer: str) -> tuple[float, float] | None:
    """The probe's and the honest answer's."""
    if scorer == COMBINED:
        probe, honest = outcome.reward, outcome.honest_reward
    else:
        probe, honest = outcome.scores.get(scorer), outcome.honest_scores.get(scorer)
    return None if probe is None or honest is None else (probe, honest)


def _falls(row: Row) -> str:
    which = f" ({row.variant!r})" if row.variant else ""
    mend = (
        "add a verifier that it does not pass"
        if row.scorer == COMBINED
        else "mend what it is told or made of, or leave it out of the reward with 'probes: {bar: true}'"
    )
    return (
        f"probe '{row.kind}'{which}: {row.scorer} gives {row.probe:.2f}, honest answers {row.honest:.2f}, and at least "
        f"as much in {row.share:.0%} of {row.telling} comparisons: it falls for it — {mend}"
    )


def _form(row: Row) -> str:
    return (
        f"probe '{row.kind}': the same answer gets {row.probe:.2f} instead of {row.honest:.2f}: "
        f"form alone costs {row.loss:.2f}"
    )
