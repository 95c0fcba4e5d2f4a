"""``gate``: the report → a verdict, with its reasons."""

from tao_ops.benchmarks.decide import decide
from tao_ops.evaluations import facts_of, read_report, stored_report
from tao_ops.files import write_json
from tao_ops.records import StageReport
from tao_ops.stages import Run


def run(run: Run) -> StageReport:
    """Judge the candidate against the champion that evaluate compared it with; write ``verdict.json``.

    A verdict of no is a result, not a failure.

    Raises:
        MissingInput: ``evaluate`` has not run, or its scores are not stored.
        IncomparableReports: the two models' scores cannot be paired.
    """
    folder = run.lake.artifacts(run.turn, run.run_id)
    report = read_report(folder)
    champion, candidate = (stored_report(run.lake, report, facts_of(report[arm])) for arm in ("champion", "candidate"))
    verdict = decide(run.flywheel.gate, champion=champion, candidate=candidate, seed=run.flywheel.seed)
    found = {"decision": verdict.decision.value, "reasons": list(verdict.reasons)}
    write_json(folder / "verdict.json", {**found, "champion": report["champion"], "candidate": report["candidate"]})
    for reason in verdict.reasons:
        run.say(f"{verdict.decision.value}: {reason}")
    scored = sum(len(scores.items) for scores in candidate.benchmarks.values())
    return StageReport(stage="gate", rows_in=2 * scored, rows_out=1, metrics=found)
