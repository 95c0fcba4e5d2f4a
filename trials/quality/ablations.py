"""Turn one without a part: without exploration, without consensus, with fewer responses of each query."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from tao_ops.stages import Stage
from tao_ops.tables import RESPONSES
from tao_ops.turn import path_safe
from trials.quality.cell import Cell
from trials.quality.home import Home, turn_of
from trials.quality.measure import candidate, scratch
from trials.quality.settings import SAMPLES, TASK, day, flywheel_settings, strategy, task_of
from trials.quality.stored import Chain

PLAIN, NO_CONSENSUS = "without exploration", "without consensus"
_POOL = "pool"


def of_samples(n: int) -> str:
    """The name of the cell with ``n`` responses of each query."""
    return f"{n} responses of each query"


def cells(chains: Sequence[Chain]) -> list[Cell]:
    """A cell is one seed and what is left out."""
    found = []
    for chain in chains:
        told = flywheel_settings(chain.seed)
        plain, pool = _plain(told), _uniform(told)
        quiet = {**told, "tasks": task_of(told, scorers=_without_consensus(told))}
        found += [
            Cell(chain.seed, PLAIN, plain, partial(_again, chain, PLAIN, plain, (Stage.GENERATE, Stage.SCORE))),
            Cell(chain.seed, NO_CONSENSUS, quiet, partial(_again, chain, NO_CONSENSUS, quiet, (Stage.SCORE,))),
            *(
                Cell(chain.seed, of_samples(n), {**pool, "responses": n}, partial(_sampled, chain, n, pool))
                for n in SAMPLES
            ),
        ]
    return found


def _again(chain: Chain, name: str, settings: Mapping[str, Any], stages: Sequence[Stage]) -> dict[str, Any]:
    """Turn one with these stages done once more under other settings."""
    with scratch(chain, chain.scored(1), name, settings) as home:
        done = {stage: home.again(stage, day(1), path_safe(name)) for stage in stages}
        tokens = done[Stage.GENERATE]["tokens"] if Stage.GENERATE in done else None
        return {**candidate(chain, home, 1, name), "tokens": tokens}


def _sampled(chain: Chain, n: int, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The first ``n`` responses to each query of a pool that has as many of all, scored among themselves."""
    name, turn = of_samples(n), turn_of(day(1))
    with scratch(chain, _pool(chain, settings), name, settings) as home:
        rows = home.lake.read(RESPONSES, flywheel=turn.flywheel, turn=turn.key).to_pylist()
        kept = [row for row in rows if row["sample"] < n]
        home.lake.write(RESPONSES, kept, turn=turn, run_id=path_safe(name), shard=0)
        home.again(Stage.SCORE, day(1), path_safe(name))
        told = candidate(chain, home, 1, name)
    return {**told, "responses": len(kept), "tokens": sum(row["tokens"] for row in kept)}


def _pool(chain: Chain, settings: Mapping[str, Any]) -> Home:
    """Turn one's prompts with ``max(SAMPLES)`` responses each, of worked examples in the prompt; kept in the cache."""
    place, base = chain.folder / _POOL, chain.scored(1)
    home = Home(place)
    if home.data != base.data or home.settings != settings:
        home = base.copy(place, settings)
        home.undo(day(1), Stage.GENERATE, Stage.SCORE)
    home.run(Stage.GENERATE, day(1), _POOL)
    return home


def _plain(told: Mapping[str, Any]) -> dict[str, Any]:
    """The production prompt is the only one that is tried, as often as the examples' one is otherwise."""
    only = strategy(told, "plain", samples=strategy(told, "demonstrations")["samples"])
    return {**told, "tasks": task_of(told, strategies=[only]), "evaluate": {"control": None}}


def _uniform(told: Mapping[str, Any]) -> dict[str, Any]:
    only = strategy(told, "demonstrations", samples=max(SAMPLES))
    generate = {name: part for name, part in told["generate"].items() if name != "budget"}
    return {
        **told,
        "tasks": task_of(told, strategies=[only]),
        "generate": {**generate, "policy": "uniform"},
        "evaluate": {"control": None},
    }


def _without_consensus(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [one for one in told["tasks"][TASK]["scorers"] if one["name"] != "consensus"]
