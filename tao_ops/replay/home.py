"""A home of a replay's own: its lake, its registry, its ``include/``; nothing outside it is written to."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import write_deltalake

from tao_ops import champions
from tao_ops.config import Flywheel, load_flywheel
from tao_ops.errors import EngineError, ModelError
from tao_ops.files import read_json, write_json
from tao_ops.lake import Lake, open_lake
from tao_ops.launch.process import Process
from tao_ops.launch.stage import stage_command, stage_environment
from tao_ops.lineage import recipe
from tao_ops.models import model_ref
from tao_ops.records import Progress
from tao_ops.registry import BASE, Submission, open_registry
from tao_ops.settings import Settings
from tao_ops.stages import SHARDED, Run, Stage
from tao_ops.tables import Table
from tao_ops.turn import Turn

LIMIT_S = 12 * 3600.0
"""A stage that takes longer is ended."""

RunStage = Callable[[Stage, Run], Mapping[str, Any]]
"""Runs one stage to its end and gives its report."""


@dataclass(frozen=True)
class Home:
    """A replay's home below one folder: ``include/``, ``home/`` and ``lake/``.

    Attributes:
        settings: its places, its own database among them.
    """

    folder: Path
    settings: Settings
    flywheel: Flywheel
    lake: Lake

    @classmethod
    def make(cls, folder: Path, manifest: Mapping[str, Any], real: Settings) -> "Home":
        """An empty home with the configuration of a manifest's recipe.

        Args:
            real: the installation's settings, whose cache and key of the hashes are used.

        Raises:
            ConfigError: the recipe is not whole, or what it only names is gone.
        """
        name, include = str(manifest["flywheel"]), folder / "include"
        told = manifest["lineage"]["recipe"]
        source = Path(manifest["path"]) / told["folder"]
        recipe.restore(source, told["files"], include=real.include, home=real.home, target=include)
        lake = open_lake(str(folder / "lake"))
        settings = replace(real, home=folder / "home", lake=lake.root, include=include, database_url=None)
        settings.home.mkdir()
        return cls(folder, settings, load_flywheel(name, settings), lake)

    def fill(self, tables: Iterable[tuple[Table, pa.Table]]) -> None:
        """Put rows into the lake, as they are, each table's in one commit."""
        for table, rows in tables:
            self.lake.append(table, [])
            if rows.num_rows:
                self.lake.change(table, partial(write_deltalake, data=rows, mode="append"))

    def crown(self, url: str, champion: Mapping[str, Any] | None, told: Mapping[str, Any], say: Progress) -> None:
        """Make the champion of then the champion here; it keeps its files, and gets a number of this registry's own.

        Args:
            champion: its manifest; None where it is the base model.
            told: ``version`` and ``model_version`` as they were recorded.

        Raises:
            ModelError: its folder is no model any more, or another one.
        """
        path = champions.base_model(self.flywheel, self.settings, say) if champion is None else Path(champion["path"])
        found = model_ref(path)
        if found.model_version != told["model_version"]:
            raise ModelError(
                f"the champion of then, version {told['version']}, was {told['model_version']}, its folder now holds "
                f"{found.model_version}",
                where=path,
                mend="restore the folder from a backup",
            )
        if champion is None:
            return
        registry, name = open_registry(url, self.settings), self.flywheel.name
        why = f"the champion of then: version {told['version']}"
        submission = Submission(
            name,
            str(champion.get("turn", "")),
            str(champion.get("run_id", "")),
            champion,
            report={"benchmarks": []},
            verdict={"decision": "promote", "reasons": [why]},
            lineage=str(path / "manifest.json"),
        )
        registry.promote(name, registry.register(submission), expected_champion=BASE, who="tao replay", why=why)

    def artifacts(self, turn: Turn, run_id: str) -> Path:
        """The folder of the replayed run."""
        return self.lake.artifacts(turn, run_id)

    def lend(self, manifest: Mapping[str, Any], turn: Turn, run_id: str) -> None:
        """Let ``evaluate`` find the stored candidate, where no update is replayed."""
        told = {name: value for name, value in manifest.items() if name != "version"}
        write_json(self.artifacts(turn, run_id) / "candidate.json", told)


def in_a_process(home: Home) -> RunStage:
    """Runs a stage as ``tao <stage>`` does, in a process whose environment names the replay's places alone."""

    def run(stage: Stage, run: Run) -> Mapping[str, Any]:
        report = home.folder / "report.json"
        report.unlink(missing_ok=True)
        shard = run.shard if stage in SHARDED else None
        command = stage_command(stage.value, run.turn.flywheel, run.turn.key, run.run_id, shard=shard, report=report)
        env = stage_environment(run.database_url, home.settings.hash_key) | {
            "TAO_HOME": str(home.settings.home),
            "TAO_CACHE": str(home.settings.cache),
            "TAO_LAKE": home.lake.root,
            "TAO_INCLUDE": str(home.settings.include),
        }
        ended = Process(command, env=env).follow(run.say, limit_s=LIMIT_S)
        if ended.timed_out or ended.code:
            how = f"took more than {LIMIT_S / 3600:.0f} hours" if ended.timed_out else "failed"
            said = (ended.last("error: ") or f"it ended with {ended.signal_name or ended.code}").removeprefix("error: ")
            raise EngineError(f"the replayed {stage.value} {how}: {said}", where=run.turn.key)
        return read_json(report)

    return run
