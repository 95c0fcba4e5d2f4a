"""``register``: candidate and verdict → a version; the champion moves only on promote."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tao_ops.benchmarks.decide import Decision, decide
from tao_ops.errors import MissingInput, ModelError
from tao_ops.evaluations import facts_of, read_report, stored_report
from tao_ops.files import read_json
from tao_ops.records import StageReport
from tao_ops.registry import BASE, Registry, Submission, open_registry
from tao_ops.scoring import summary
from tao_ops.stages import Run
from tao_ops.updating import journal, live


def run(run: Run) -> StageReport:
    """Give the candidate its version, whatever the verdict, and make it the champion on promote.

    MLflow gets the run's pictures, the figures of its rewards, and those of its training that it lacks, with it.

    Where the champion has moved since the report, the gate's rule decides again over stored evaluations of the new
    one. A retry after a kill finds what it did before: the same version, and no second promotion.

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
        if registry.repair_alias(flywheel):
            run.say("MLflow's alias 'champion' had been moved by hand; it is back on the champion")
        before = registry.champion_version(flywheel)
        mine = registry.version_of(flywheel, run_id=run.run_id, model_version=candidate["model_version"])
        if mine is not None and mine == before:
            run.say(f"version {mine} is this run's and is the champion already")
            return _report(flywheel, mine, Decision.PROMOTE.value, is_champion=True)
        if before != verdict["champion"]["version"]:
            verdict = _decide_again(run, registry, report, verdict, before)
        version = registry.register(
            Submission(
                flywheel,
                run.turn.key,
                run.run_id,
                candidate,
                report,
                verdict,
                str(Path(candidate["path"]) / "manifest.json"),
                rewards=summary.figures(run.lake, run.turn, run.run_id),
                pictures=[str(path) for path in sorted(folder.glob("*.png"))],
                training=live.run_of(folder),
                curves=journal.points(journal.read(folder)),
            )
        )
        run.say(f"version {version} of {flywheel}: {verdict['decision']}")
        promoted = verdict["decision"] == Decision.PROMOTE
        if promoted:
            who, why = f"gate, run {run.run_id}", " ".join(verdict["reasons"])
            registry.promote(flywheel, version, expected_champion=before, who=who, why=why)
            run.say(f"the champion is now version {version} (before: {before})")
    return _report(flywheel, version, verdict["decision"], is_champion=promoted)


def _decide_again(
    run: Run, registry: Registry, report: Mapping[str, Any], verdict: Mapping[str, Any], champion: int
) -> dict[str, Any]:
    judged = verdict["champion"]["version"]
    run.say(f"the champion moved from version {judged} to {champion} since the report: deciding again")
    if champion == BASE:
        raise MissingInput(
            "the champion went back to the base model since the report",
            where=run.turn.key,
            mend="run evaluate again",
        )
    facts = registry.facts(run.flywheel.name, champion)
    again = decide(
        run.flywheel.gate,
        champion=stored_report(run.lake, report, facts),
        candidate=stored_report(run.lake, report, facts_of(report["candidate"])),
        seed=run.flywheel.seed,
    )
    for reason in again.reasons:
        run.say(f"{again.decision.value}: {reason}")
    note = f"Decided again, since the champion moved from version {judged} to {champion}."
    now = {"version": champion, **facts.as_dict()}
    return {**verdict, "decision": again.decision.value, "reasons": [note, *again.reasons], "champion": now}


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


def _report(flywheel: str, version: int, decision: str, *, is_champion: bool) -> StageReport:
    alias = "champion" if is_champion else None
    metrics = {"model": flywheel, "version": version, "alias": alias, "decision": decision}
    return StageReport(stage="register", rows_in=1, rows_out=1, metrics=metrics)
