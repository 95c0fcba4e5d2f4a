"""``gate``: the report → a verdict, with its reasons."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tao_ops.benchmarks.decide import Decision, decide
from tao_ops.benchmarks.spending import level
from tao_ops.config import Approval
from tao_ops.errors import DataError
from tao_ops.evaluating.report_page import page
from tao_ops.evaluations import facts_of, read_report, stored_report
from tao_ops.files import read_json, replaced, write_json
from tao_ops.records import Split, StageReport
from tao_ops.registry import open_registry
from tao_ops.scoring import summary
from tao_ops.scoring.watching import against_benchmark
from tao_ops.stages import Run
from tao_ops.story import levelled
from tao_ops.tables import PROMPTS, QUERIES, RESPONSES

VERDICT, PAGE = "verdict.json", "report.md"


def run(run: Run) -> StageReport:
    """Judge the candidate against the champion that evaluate compared it with.

    Which test of this champion it is in the month, the registry counts, before anything is decided. Writes
    ``verdict.json``, and ``report.md`` for the person who approves. A verdict of no is a result, not a failure.

    Raises:
        MissingInput: ``evaluate`` has not run, or its scores are not stored.
        IncomparableReports: the two models' scores cannot be paired.
        DataError: the reward has risen for too many turns while the primary benchmark has not.
        RegistryError: the registry cannot be asked.
    """
    folder = run.lake.artifacts(run.turn, run.run_id)
    for name in (VERDICT, PAGE):  # of an attempt before this one, on scores that may be others
        (folder / name).unlink(missing_ok=True)
    report = read_report(folder)
    champion, candidate = (stored_report(run.lake, report, facts_of(report[arm])) for arm in ("champion", "candidate"))
    watched, config = _watch(run), run.flywheel.gate
    test = _test(run, report)
    verdict = decide(config, champion=champion, candidate=candidate, test=test, seed=run.flywheel.seed)
    asked = config.approval is Approval.MANUAL and not run.flywheel.dry_run
    pending = verdict.decision is Decision.PROMOTE and asked
    found = {
        **verdict.as_dict(),
        "test": test,
        "level": level(config.alpha, test),
        "approval": "dry run" if run.flywheel.dry_run else "pending" if pending else "auto",
    }
    told = {**found, "champion": report["champion"], "candidate": report["candidate"]}
    _write_page(run, folder, report, told)
    write_json(folder / VERDICT, told)
    for reason in verdict.reasons:
        run.say(f"{verdict.decision.value}: {reason}")
    scored = sum(len(scores.items) for scores in candidate.benchmarks.values())
    return StageReport(stage="gate", rows_in=2 * scored, rows_out=1, metrics={**found, "monitors": watched})


def _test(run: Run, report: Mapping[str, Any]) -> int:
    """Which of the month's tests of the champion this is; a candidate that is judged again counts once."""
    return open_registry(run.database_url, run.settings).test_number(
        run.flywheel.name,
        champion=report["champion"]["version"],
        candidate=report["candidate"]["model_version"],
        at=datetime.now(UTC),
        timezone=run.flywheel.timezone,
    )


def _write_page(run: Run, folder: Path, report: Mapping[str, Any], verdict: Mapping[str, Any]) -> None:
    where: dict[str, Any] = {"flywheel": run.turn.flywheel, "turn": run.turn.key}
    counts = {
        "queries of the turn": run.lake.count(QUERIES, **where),
        "prompts of the turn for training": run.lake.count(PROMPTS, split=Split.TRAIN.value, **where),
        "prompts of the turn for the holdout": run.lake.count(PROMPTS, split=Split.HOLDOUT.value, **where),
        "responses of the turn": run.lake.count(RESPONSES, **where),
    }
    candidate = read_json(folder / "candidate.json", mend="run update first")
    rewards = summary.figures(run.lake, run.turn, run.run_id)
    with replaced(folder / PAGE) as fresh:
        fresh.write_text(page(report, verdict, candidate, counts=counts, rewards=rewards), encoding="utf-8")


def _watch(run: Run) -> dict[str, Any]:
    """How long the reward has risen without the primary benchmark; past the limit of failure there is no verdict."""
    task = next(task for task in run.flywheel.tasks.values() if any(b.primary for b in task.benchmarks))
    watched = against_benchmark(run.lake, run.turn, task.monitors)
    for sentence in watched.sentences():
        run.say(levelled(sentence))
    for failure in watched.failures():
        raise DataError(failure, where=run.turn.key, mend="see what the best-paid responses have in common")
    return watched.as_dict()
