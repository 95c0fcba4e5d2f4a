"""A version's turn, run again stage by stage, each held against what is stored."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from tao_ops.database import DATABASE, start_embedded
from tao_ops.errors import ConfigError, DataError, RegistryError
from tao_ops.files import read_json
from tao_ops.lake import Lake
from tao_ops.lineage.of_version import why_not_replayable
from tao_ops.lineage.versions import Manifests, run_of
from tao_ops.records import Progress
from tao_ops.registry import BASE
from tao_ops.replay import compare, judging
from tao_ops.replay.home import Home, RunStage, in_a_process
from tao_ops.replay.promises import broken, changes
from tao_ops.replay.result import Agreement, Replay, StageReplay
from tao_ops.replay.stored import STAGES, Stored
from tao_ops.settings import Settings
from tao_ops.stages import SHARDED, Run, Stage
from tao_ops.tables import EVALUATIONS, PROMPTS, RESPONSES, REWARDS

_MAKES = {Stage.VALIDATE: PROMPTS, Stage.GENERATE: RESPONSES, Stage.SCORE: REWARDS}


def replay(
    manifests: Manifests,
    version: int,
    *,
    lake: Lake,
    settings: Settings,
    folder: Path,
    start: Stage | None = None,
    until: Stage = Stage.GATE,
    say: Progress = print,
    run_stage: Callable[[Home], RunStage] = in_a_process,
    url: str | None = None,
) -> Replay:
    """Run a version's turn again below ``folder``; the installation's lake and registry are only read.

    Args:
        lake: the installation's own.
        folder: empty, or not there.
        start: the first stage, not the gate; by default the first one whose input is still there.
        until: the last stage.
        run_stage: what runs a stage of the replay's home.
        url: a database of the replay's own; by default it starts a server in its home.

    Raises:
        RegistryError: there is no such version.
        DataError: its manifest is lost, or it cannot be replayed: rows were erased, or too little is left.
        ConfigError: ``folder`` is in use, the stages are out of order, or a file that the recipe names is gone.
        ModelError: the champion of then is gone.
        EngineError: a stage failed.
    """
    manifest = manifests.of(version)
    if (why := why_not_replayable(manifest)) is not None:
        raise DataError(
            f"version {version} of {manifests.flywheel} cannot be replayed: {why}",
            where=manifest["path"],
            mend=f"tao lineage {manifests.flywheel} {version} tells what is known of it",
        )
    _see_that_it_is_free(folder)
    folder.mkdir(parents=True, exist_ok=True)
    home = Home.make(folder, manifest, settings)
    stored = Stored(lake, manifest, home.flywheel)
    changed = changes(stored.told, stored.turn.key, Path(manifest["path"]), settings)
    for one in changed:
        say(f"warning: not as it was: {one.sentence()}")
    if stored.told["code_version"].endswith(".dirty"):
        say("warning: the code had local changes then, which no version names")
    begin, skipped = _begin(stored, start, until)
    for stage, reason in skipped.items():
        say(f"{stage} is not replayed: {reason}")
    home.fill([*stored.before(begin), *stored.earlier()])
    found = Replay(manifests.flywheel, version, stored.turn.key, run_of(manifest), str(folder), changed, skipped)
    champion = stored.told["champion"]
    with _database(home, url, say) as mine:
        crowned = None if champion["version"] == BASE else manifests.of(int(champion["version"]))
        home.crown(mine, crowned, champion, say)
        run = Run(home.flywheel, stored.turn, found.run_id, home.lake, home.settings, mine, say=say)
        if begin is Stage.EVALUATE:
            home.lend(manifest, run.turn, run.run_id)
        _stages(found, stored, run, begin, until, run_stage(home))
    return found


def _stages(found: Replay, stored: Stored, run: Run, begin: Stage, until: Stage, execute: RunStage) -> None:
    shards = min(run.flywheel.generate.shards, stored.told["rows"][run.turn.key]["prompts"]["rows"])
    broken_before: Stage | None = None
    for stage in STAGES[STAGES.index(begin) : STAGES.index(until) + 1]:
        began = time.monotonic()
        if stage is Stage.GATE:
            judging.recount(judging.of_then(stored), run)
        for shard in range(shards if stage in SHARDED else 1):
            told = execute(stage, replace(run, shard=shard))
            if stage is Stage.VALIDATE:
                shards = int(told["metrics"]["shards"])
        seconds = round(time.monotonic() - began, 1)
        compared = _compared(stage, stored, run)
        promise = broken(stage, run.flywheel, found.changed)
        if broken_before is not None and promise is None:
            promise = f"its input differs since {broken_before.value}"
        agreement = _agreement(compared, promise)
        if agreement not in (Agreement.EQUAL, Agreement.UNKNOWN) and broken_before is None:
            broken_before = stage
        found.stages.append(StageReplay(stage, agreement, promise, compared.what, compared.figures, seconds))
        run.say(found.stages[-1].sentence())


def _compared(stage: Stage, stored: Stored, run: Run) -> compare.Compared:
    where: dict[str, Any] = {"flywheel": run.turn.flywheel, "turn": run.turn.key}
    if stage in _MAKES:
        table = _MAKES[stage]
        told = stored.told["rows"][run.turn.key][table.name]
        return compare.BY_TABLE[table.name](told, stored.rows[table.name], run.lake.read(table, **where))
    if stage is Stage.GATE:
        return judging.compared(judging.of_then(stored), run)
    candidate = read_json(run.lake.artifacts(run.turn, run.run_id) / "candidate.json")
    if stage is Stage.UPDATE:
        return compare.candidates(stored.manifest, candidate)
    champion = stored.told["champion"]["model_version"]
    scores = [
        lake.read(EVALUATIONS, model_version=[champion, model], **where).to_pylist()
        for lake, model in ((stored.lake, stored.manifest["model_version"]), (run.lake, candidate["model_version"]))
    ]
    return compare.scores(*scores)


def _agreement(compared: compare.Compared, promise: str | None) -> Agreement:
    if compared.equal is None:
        return Agreement.UNKNOWN
    if compared.equal:
        return Agreement.EQUAL
    return Agreement.ALIKE if promise is not None and compared.alike else Agreement.DIFFERS


def _begin(stored: Stored, start: Stage | None, until: Stage) -> tuple[Stage, dict[str, str]]:
    """The first stage to run, and why those before it are not."""
    begin = start or stored.first
    if missing := stored.missing(begin):
        raise DataError(
            f"{begin.value} cannot be replayed: {_gone(missing)}",
            where=stored.turn.key,
            mend=f"leave --from out: the first stage that can be is {stored.first.value}",
        )
    if STAGES.index(begin) > STAGES.index(until):
        where = f"--from {begin.value} --until {until.value}"
        gone = "" if start else f": before {begin.value} the rows of the turn are gone"
        raise ConfigError(f"there is nothing to replay{gone}", where=where, mend="name a later stage for --until")
    skipped = {}
    for stage in STAGES[: STAGES.index(begin)]:
        missing = stored.missing(stage)
        skipped[stage.value] = _gone(missing) if missing else "not asked for"
    return begin, skipped


def _gone(tables: Sequence[str]) -> str:
    return f"the turn's {' and '.join(tables)} are gone: expired, replaced or erased"


@contextmanager
def _database(home: Home, url: str | None, say: Progress) -> Iterator[str]:
    if url is not None:
        yield url
        return
    server = start_embedded(home.settings.home)
    try:
        yield server.url(DATABASE)
    finally:
        try:
            server.stop()
        except RegistryError as error:  # what was found counts, however long the server takes to end
            say(f"warning: {error}")


def _see_that_it_is_free(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError("a replay needs an empty folder", where=folder, mend="name another one for --keep")
