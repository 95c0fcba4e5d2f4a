"""The gate, run again: as the test of its month that it was then, and its verdict beside the one of then."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from tao_ops.errors import MissingInput
from tao_ops.files import read_json
from tao_ops.lineage.versions import run_of
from tao_ops.registry import open_registry
from tao_ops.replay.compare import Compared
from tao_ops.replay.stored import Stored
from tao_ops.stages import Run

Verdict = Mapping[str, Any]
_VERDICT = "verdict.json"


def of_then(stored: Stored) -> Verdict | None:
    """The verdict on a version, where its run still has one."""
    folder = stored.lake.artifacts(stored.turn, run_of(dict(stored.manifest)))
    try:
        found = read_json(folder / _VERDICT)
    except MissingInput:
        return None
    # The turn may have been run again since, to another candidate.
    return found if found["candidate"]["model_version"] == stored.manifest["model_version"] else None


def recount(then: Verdict | None, run: Run) -> None:
    """Let the replay's registry know as many tests of the champion as there were then before this one."""
    champion = read_json(run.lake.artifacts(run.turn, run.run_id) / "report.json")["champion"]["version"]
    registry = open_registry(run.database_url, run.settings)
    for number in range(1, 1 if then is None else int(then["test"])):
        registry.test_number(
            run.flywheel.name,
            champion=champion,
            candidate=f"test {number} of then",
            at=datetime.now(UTC),
            timezone=run.flywheel.timezone,
        )


def compared(then: Verdict | None, run: Run) -> Compared:
    """By decision, and by what each benchmark and slice said for it; what the clock said of speed may be another."""
    if then is None:
        return Compared(None, False, "the verdict of then is gone")
    now = read_json(run.lake.artifacts(run.turn, run.run_id) / _VERDICT)
    figures = {name: [then[name], now[name]] for name in ("decision", "test", "level", "reasons")}
    same = then["decision"] == now["decision"]
    if same and then["test"] == now["test"] and then["findings"] == now["findings"]:
        return Compared(True, True, f"{now['decision']}, from the same findings", figures)
    fresh = next((reason for reason in now["reasons"] if reason not in then["reasons"]), "no other reason")
    return Compared(False, same, f"{then['decision']} then, {now['decision']} now: {fresh}", figures)
