"""A verdict whose champion is no longer the champion: the gate's rule once more, over scores that are stored."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from tao_ops.benchmarks.decide import decide
from tao_ops.benchmarks.spending import level
from tao_ops.config import Flywheel
from tao_ops.errors import MissingInput
from tao_ops.evaluations import facts_of, stored_report
from tao_ops.lake import Lake
from tao_ops.records import Progress
from tao_ops.registry.record import BASE
from tao_ops.registry.versions import Registry


def decide_again(
    flywheel: Flywheel,
    lake: Lake,
    registry: Registry,
    *,
    report: Mapping[str, Any],
    verdict: Mapping[str, Any],
    champion: int,
    say: Progress,
) -> dict[str, Any]:
    """The verdict on the candidate of ``report`` against ``champion``, the version that is the champion now.

    It is a test of that champion, and counts as one. Nothing is generated: the new champion's scores are those of
    the time when it was a candidate itself.

    Raises:
        MissingInput: not all of its scores on the same benchmarks are stored, or it is the base model.
        IncomparableReports: the two models' scores cannot be paired.
    """
    judged = verdict["champion"]["version"]
    say(f"the champion moved from version {judged} to {champion} since the report: deciding again")
    if champion == BASE:
        raise MissingInput(
            "the champion went back to the base model since the report",
            where=report["turn"],
            mend="run evaluate again",
        )
    facts, candidate = registry.facts(flywheel.name, champion), facts_of(report["candidate"])
    test = registry.test_number(
        flywheel.name,
        champion=champion,
        candidate=candidate.model_version,
        at=datetime.now(UTC),
        timezone=flywheel.timezone,
    )
    again = decide(
        flywheel.gate,
        champion=stored_report(lake, report, facts),
        candidate=stored_report(lake, report, candidate),
        test=test,
        seed=flywheel.seed,
    )
    for reason in again.reasons:
        say(f"{again.decision.value}: {reason}")
    note = f"Decided again, since the champion moved from version {judged} to {champion}."
    told = {"test": test, "level": level(flywheel.gate.alpha, test)}
    now = {"version": champion, **facts.as_dict()}
    return {**verdict, **again.as_dict(), **told, "reasons": [note, *again.reasons], "champion": now}
