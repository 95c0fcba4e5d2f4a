"""The two sides, each in a process of its own, and what is read off one."""

import itertools
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from benchmarks.update.rows import SEED, rows
from tao_ops.files import read_json, write_json
from tao_ops.settings import PROJECT, Settings
from tao_ops.telemetry import quiet_environment

GRPO = {"samples": 8, "max_tokens": 64}
"""Responses to each query, and the longest."""
_LIMIT_S = 1800


class Side(StrEnum):
    """Who trains."""

    OURS = "ours"
    """``trl_trainer.train``, as the stage calls it."""
    BY_HAND = "by hand"
    """TRL's trainer, and nothing of this project's."""


_COMMAND: Mapping[Side, Sequence[str]] = {
    Side.OURS: (sys.executable, "-m", "benchmarks.update.ours"),
    # Nothing of this project is on its path.
    Side.BY_HAND: (sys.executable, "-P", str(Path(__file__).with_name("by_hand.py"))),
}


@dataclass(frozen=True)
class Asked:
    """One training.

    Attributes:
        method: ``raft``, ``dpo`` or ``grpo``.
        batch_size: rows, pairs or queries of a step.
        threads: None: as many as there are cores.
        engine: what samples, for ``grpo``.
        more: arguments of TRL that the update doesn't set, for the side by hand.
    """

    method: str
    batch_size: int
    steps: int = 1
    learning_rate: float = 1e-3
    precision: str = "bf16"
    tune: str = "lora"
    gradient_checkpointing: bool = False
    threads: int | None = None
    engine: str = "transformers"
    more: Mapping[str, Any] = field(default_factory=dict)

    def but(self, **changes: Any) -> Self:
        """The same with some of it changed."""
        return replace(self, **changes)


@dataclass(frozen=True)
class Measured:
    """What one process came to.

    Attributes:
        step_s: median seconds of a step, the first left out.
        tokens_per_s: tokens of its steps, the first left out, without padding; sampled ones are among them.
        peak_mib: most memory.
        rest_s: seconds of all that was no step, once the libraries were imported.
    """

    step_s: float
    tokens_per_s: float
    peak_mib: float
    rest_s: float
    loss_first: float
    loss_last: float


def measured(told: Mapping[str, Any]) -> Measured:
    """Figures from what a process wrote: ``logs``, each step's time, tokens so far and loss; ``seconds`` of it all.

    The first step is left out: it is the one that warms up.
    """
    logs: Sequence[Sequence[float]] = told["logs"]
    steps = [end[0] - begin[0] for begin, end in itertools.pairwise(logs)]
    step_s = statistics.median(steps)
    return Measured(
        step_s=step_s,
        tokens_per_s=(logs[-1][1] - logs[0][1]) / sum(steps),
        peak_mib=float(told["peak_mib"]),
        rest_s=told["seconds"] - sum(steps) - step_s,
        loss_first=logs[0][2],
        loss_last=logs[-1][2],
    )


class Bench:
    """Runs one side at a time, on the same model and rows."""

    def __init__(self, scratch: Path) -> None:
        self._scratch, self._runs = scratch, 0
        self._model = _model()

    @property
    def model_name(self) -> str:
        """The model's folder, without what lies above it."""
        return self._model.name

    def trained(self, side: Side, asked: Asked) -> Measured:
        """What one side comes to, in a process of its own."""
        self._runs += 1
        folder = self._scratch / f"run-{self._runs}"
        folder.mkdir()
        told = folder / "told.json"
        write_json(told, asked_for(asked, self._model, folder))
        threads = {"OMP_NUM_THREADS": str(asked.threads or cores())}
        _run([*_COMMAND[side], str(told)], os.environ | quiet_environment() | threads)
        found = measured(read_json(folder / "result.json"))
        shutil.rmtree(folder)
        return found


def asked_for(asked: Asked, model: Path, folder: Path) -> dict[str, Any]:
    """What a side's process reads: the same for both."""
    data = rows(asked.steps * asked.batch_size)
    where = {"model": str(model), "folder": str(folder / "made"), "result": str(folder / "result.json")}
    return {**asdict(asked), **where, **GRPO, "seed": SEED, "rows": data}


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def card() -> str | None:
    """The GPU's name; None where there is none."""
    asked = "import torch; print(torch.cuda.get_device_name() if torch.cuda.is_available() else '')"
    return _run([sys.executable, "-c", asked], os.environ | quiet_environment()).strip() or None


def _model() -> Path:
    from tao_ops.backends import embedded_model

    named = os.environ.get("TAO_BENCH_MODEL")
    return Path(named).resolve() if named else embedded_model.prepare(Settings.from_env().cache)


def _run(command: Sequence[str], env: Mapping[str, str]) -> str:
    """Run a process to its end; its output."""
    ended = subprocess.run(command, env=env, cwd=PROJECT, timeout=_LIMIT_S, capture_output=True, text=True, check=False)
    if ended.returncode:
        said = "\n".join((ended.stdout + ended.stderr).splitlines()[-20:])
        raise SystemExit(f"error: {' '.join(command[:4])} ended with {ended.returncode}\n{said}")
    return ended.stdout
