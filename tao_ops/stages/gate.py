"""``gate``: the report → a verdict, with its reasons."""

from typing import Any

from tao_ops.benchmarks.decide import decide
from tao_ops.errors import DataError
from tao_ops.evaluations import facts_of, read_report, stored_report
from tao_ops.files import write_json
from tao_ops.records import StageReport
from tao_ops.scoring.watching import against_benchmark
from tao_ops.stages import Run


def run(run: Run) -> StageReport:
    """Judge the candidate against the champion that evaluate compared it with; write ``verdict.json``.

    A verdict of no is a result, not a failure.

    Raises:
        MissingInput: ``evaluate`` has not run, or its scores are not stored.
        IncomparableReports: the two models' scores cannot be paired.
        DataError: the reward has risen for too many turns while the primary benchmark has not.
    """
    folder = run.lake.artifacts(run.turn, run.run_id)
    report = read_report(folder)
    champion, candidate = (stored_report(run.lake, report, facts_of(report[arm])) for arm in ("champion", "candidate"))
    watched = _watch(run)
    verdict = decide(run.flywheel.gate, champion=champion, candidate=candidate, seed=run.flywheel.seed)
    found = {"decision": verdict.decision.value, "reasons": list(verdict.reasons)}
    write_json(folder / "verdict.json", {**found, "champion": report["champion"], "candidate": report["candidate"]})
    for reason in verdict.reasons:
        run.say(f"{verdict.decision.value}: {reason}")
    scored = sum(len(scores.items) for scores in candidate.benchmarks.values())
    return StageReport(stage="gate", rows_in=2 * scored, rows_out=1, metrics={**found, "monitors": watched})


def _watch(run: Run) -> dict[str, Any]:
    """How long the reward has risen without the primary benchmark; past the limit of failure there is no verdict."""
    task = next(task for task in run.flywheel.tasks.values() if any(b.primary for b in task.benchmarks))
    watched = against_benchmark(run.lake, run.turn, task.monitors)
    for sentence in watched.sentences():
        run.say(sentence)
    for failure in watched.failures():
        raise DataError(failure, where=run.turn.key, mend="see what the best-paid responses have in common")
    return watched.as_dict()
