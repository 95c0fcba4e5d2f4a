"""A second task of another kind in the same flywheel: its lift with no label, and that the first one loses nothing.

``intents`` asks for one of Banking77's 77 intents. The production prompt names none of them, so the untuned model
cannot know them; exploration is shown them, with one labelled question each. What it finds is scored by a closed set
and by consensus. The intents of the logged questions are hidden: they are only compared with afterwards.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tao_ops.files import read_json
from tao_ops.stages import Stage
from trials.quality.cell import Cell
from trials.quality.home import turn_of
from trials.quality.measure import facts
from trials.quality.second_task import flywheel, questions, truth
from trials.quality.second_task.flywheel import TwoTasks
from trials.quality.settings import FLYWHEEL, SEEDS, day
from trials.quality.stored import EXPLORED, Chain

EXPLORATION, JOINT = "what exploration finds", "both tasks"
BENCHMARKS = (questions.BENCHMARK, FLYWHEEL)
_RUN = "both"


def cells(chains: Sequence[Chain]) -> list[Cell]:
    """What exploration finds, once; then a cell is one seed's turn one on both tasks."""
    found = []
    for chain in chains:
        alone, both = flywheel.alone(chain.seed), flywheel.settings(chain.seed)
        if chain.seed == SEEDS[0]:
            found.append(Cell(chain.seed, EXPLORATION, {"flywheel": alone}, partial(_exploration, chain, alone)))
        found.append(Cell(chain.seed, JOINT, {"flywheel": both}, partial(_joint, chain, both)))
    return found


def _exploration(chain: Chain, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Turn one of the second task alone up to its rewards, on few questions, each strategy asked equally often."""
    home = TwoTasks.opened(chain.folder / "second-task-alone", settings, flywheel.PROBED)
    done = {stage: home.run(stage, day(1), _RUN) for stage in EXPLORED}
    found = truth.explored(home, _known(chain.seed, flywheel.PROBED))
    nearest = flywheel.nearest(home.flywheel())
    home.remove()
    return {
        **truth.told(found),
        "nearest": nearest,
        "tokens": done[Stage.GENERATE]["tokens"],
        "seconds": _seconds(done),
    }


def _joint(chain: Chain, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Turn one from the base model on both tasks, up to the gate's verdict."""
    home = TwoTasks.opened(chain.folder / "second-task", settings, flywheel.PER_DAY)
    known = _known(chain.seed, flywheel.PER_DAY)
    done = {stage: home.run(stage, day(1), _RUN) for stage in (*EXPLORED, Stage.UPDATE)}
    told: dict[str, Any] = {
        "explored": truth.told(truth.explored(home, known)),
        "questions": questions.version(),
        "tokens": done[Stage.GENERATE]["tokens"],
    }
    update = done[Stage.UPDATE]
    if "refused" in update:
        home.remove()
        return {**told, "refused": update["refused"], "seconds": _seconds(done)}
    chain.lend_scores(home)
    done |= {stage: home.run(stage, day(1), _RUN) for stage in (Stage.EVALUATE, Stage.GATE)}
    folder = home.lake.artifacts(turn_of(day(1)), _RUN)
    candidate = Path(read_json(folder / "candidate.json")["path"])
    lines = {line["name"]: line for line in done[Stage.EVALUATE]["metrics"]["benchmarks"]}
    told |= {
        "benchmarks": lines,
        "answers": {name: home.answers(day(1), name) for name in lines},
        "trained": truth.trained(home, known, candidate),
        "tasks": update["metrics"]["tasks"],
        "update": facts(update),
        "verdict": {name: done[Stage.GATE]["metrics"][name] for name in ("decision", "reasons")},
        "seconds": _seconds(done),
    }
    home.remove()
    return told


def _known(seed: int, per_day: int) -> dict[str, str]:
    return {request: asked.intent for request, (_, asked) in questions.traffic(seed, per_day).items()}


def _seconds(done: Mapping[Stage, Mapping[str, Any]]) -> dict[str, float]:
    return {stage.value: told["wall_seconds"] for stage, told in done.items()}
