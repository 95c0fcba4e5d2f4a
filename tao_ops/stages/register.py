"""``register``: candidate and verdict → a version; the champion moves only on promote."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tao_ops import model_card
from tao_ops.benchmarks.decide import Decision
from tao_ops.config import Approval
from tao_ops.errors import ModelError
from tao_ops.evaluations import read_report
from tao_ops.files import read_json
from tao_ops.mlflow_layout import write_layout
from tao_ops.records import StageReport
from tao_ops.registry import Registry, Submission, open_registry, record
from tao_ops.registry.again import decide_again
from tao_ops.scoring import summary
from tao_ops.stages import Run
from tao_ops.updating import journal, live


def run(run: Run) -> StageReport:
    """Give the candidate its version, whatever the verdict, and make it the champion on promote.

    Where a person has the last word, a promote leaves it pending, and the champion where it is. The model's folder
    gets its card and what MLflow loads it by; MLflow gets the run's pictures, the figures of its rewards, and those
    of its training that it lacks. Where the flywheel has a canary, a promote begins it, and the champion stays until
    it has grown. In a dry run nothing of this begins: the version is recorded as promoted by the gate, no more.

    Where the champion has moved since the report, the gate's rule decides again over stored evaluations of the new
    one. A retry after a kill finds what it did before: the same version, and no second promotion. A version that was
    promoted or rejected once stays so, whoever moved the champion since. What has waited for a person for longer than
    ``gate.approval_limit`` is rejected.

    Raises:
        MissingInput: ``update``, ``evaluate`` or ``gate`` has not run, or the new champion has no stored scores.
        ModelError: the candidate is not the model that was judged.
        RegistryError: the registry cannot be used; the champion stays.
    """
    folder = run.lake.artifacts(run.turn, run.run_id)
    candidate = read_json(folder / "candidate.json", mend="run update first")
    report = read_report(folder)
    verdict = read_json(folder / "verdict.json", mend="run gate first")
    _same_candidate(candidate, report, verdict, folder)
    registry, flywheel = open_registry(run.database_url, run.settings), run.flywheel.name
    with registry.lock(flywheel):
        if registry.repair_aliases(flywheel):
            run.say("an alias in MLflow had been moved by hand; it is back where it belongs")
        registry.reject_overdue(flywheel, run.flywheel.gate.approval_limit, datetime.now(UTC), say=run.say)
        before = registry.champion_version(flywheel)
        mine = registry.version_of(flywheel, run_id=run.run_id, model_version=candidate["model_version"])
        if mine is not None and (done := _settled(run, registry, mine, before)) is not None:
            return done
        if before != verdict["champion"]["version"]:
            verdict = decide_again(
                run.flywheel, run.lake, registry, report=report, verdict=verdict, champion=before, say=run.say
            )
        promoted = verdict["decision"] == Decision.PROMOTE
        dry = run.flywheel.dry_run
        pending = promoted and not dry and run.flywheel.gate.approval is Approval.MANUAL
        version = _register(run, registry, candidate, report, verdict, pending=pending)
        run.say(f"version {version} of {flywheel}: {verdict['decision']}")
        if pending:
            ask = f"tao registry promote {flywheel} {version}, or reject"
            run.say(f"the champion stays version {before} until a person answers: {ask}")
        elif promoted and dry:
            ask = f"tao registry promote {flywheel} {version}"
            run.say(f"a dry run: the champion stays version {before}, and nobody is asked; to promote it: {ask}")
        elif promoted:
            _promote(run, registry, version, before, " ".join(verdict["reasons"]))
        moved = promoted and not pending and not dry
    canary = moved and run.flywheel.serve.canary is not None
    done = _report(
        flywheel, version, verdict["decision"], is_champion=moved and not canary, pending=pending, canary=canary
    )
    done.metrics |= {"dry_run": True} if dry else {}
    return done


def _promote(run: Run, registry: Registry, version: int, before: int, why: str) -> None:
    """Make ``version`` the champion, or begin its canary."""
    flywheel, who, config = run.flywheel.name, f"gate, run {run.run_id}", run.flywheel.serve.canary
    if config is None:
        registry.promote(flywheel, version, expected_champion=before, who=who, why=why)
        run.say(f"the champion is now version {version} (before: {before})")
    else:
        registry.start_canary(flywheel, version, expected_champion=before, config=config, who=who, why=why)
        run.say(
            f"the canary of version {version} begins; the champion stays version {before}: tao server canary {flywheel}"
        )


def _register(
    run: Run,
    registry: Registry,
    candidate: Mapping[str, Any],
    report: Mapping[str, Any],
    verdict: Mapping[str, Any],
    *,
    pending: bool,
) -> int:
    folder, model = run.lake.artifacts(run.turn, run.run_id), Path(candidate["path"])
    base = model_card.base_of(registry, run.flywheel, candidate["base"])
    model_card.write(model, candidate, report, verdict, base)
    write_layout(model, candidate)
    submission = Submission(
        run.flywheel.name,
        run.turn.key,
        run.run_id,
        candidate,
        report,
        verdict,
        str(model / "manifest.json"),
        rewards=summary.figures(run.lake, run.turn, run.run_id),
        pictures=[str(path) for path in sorted(folder.glob("*.png"))],
        training=live.run_of(folder),
        curves=journal.points(journal.read(folder)),
    )
    return registry.register(submission, pending=pending)


def _settled(run: Run, registry: Registry, mine: int, champion: int) -> StageReport | None:
    """What this run's version came to, where that was decided before; None where it was not."""
    last, running = record.settled(registry.events(run.flywheel.name), mine), registry.canary(run.flywheel.name)
    canary = running is not None and running.version == mine
    if mine != champion and last is None and not canary:
        return None
    if mine == champion:
        run.say(f"version {mine} is this run's and is the champion already")
    elif canary:
        run.say(f"version {mine} is this run's, and its canary is under way: tao server canary {run.flywheel.name}")
    elif last is not None:
        ended = "promoted" if last.kind is record.EventKind.PROMOTE else "rejected"
        run.say(f"version {mine} is this run's and was {ended} at {last.at:%Y-%m-%d %H:%M} by {last.who}: it stays so")
    # As it was registered: the verdict among the artifacts may be another by now.
    was = next(one.verdict for one in registry.versions(run.flywheel.name) if one.version == mine)
    return _report(run.flywheel.name, mine, was, is_champion=mine == champion, pending=False, canary=canary)


def _same_candidate(
    candidate: Mapping[str, Any], report: Mapping[str, Any], verdict: Mapping[str, Any], folder: Path
) -> None:
    """A stage run again by hand may leave a verdict on the model before it."""
    versions = [entry["model_version"] for entry in (candidate, report["candidate"], verdict["candidate"])]
    if len(set(versions)) != 1:
        raise ModelError(
            f"candidate {versions[0]}, report on {versions[1]}, verdict on {versions[2]}",
            where=folder,
            mend="run evaluate and gate again",
        )


def _report(
    flywheel: str, version: int, decision: str | None, *, is_champion: bool, pending: bool, canary: bool
) -> StageReport:
    alias = "champion" if is_champion else None
    metrics = {"model": flywheel, "version": version, "alias": alias, "decision": decision, "pending": pending}
    metrics |= {"canary": True} if canary else {}
    return StageReport(stage="register", rows_in=1, rows_out=1, metrics=metrics)
