"""Three turns on consecutive days by the flywheel's YAML as it stands: the whole chain, for each seed."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from tao_ops.stages import Stage
from trials.quality.cell import Cell
from trials.quality.measure import facts, scores
from trials.quality.settings import TURNS, day, flywheel_settings
from trials.quality.stored import Chain


def cells(chains: Sequence[Chain]) -> list[Cell]:
    """A cell is one seed and one turn; each goes on from the home of the one before."""
    return [
        Cell(chain.seed, str(turn), {**flywheel_settings(chain.seed), "turn": day(turn)}, partial(_turn, chain, turn))
        for chain in chains
        for turn in TURNS
    ]


def _turn(chain: Chain, turn: int) -> dict[str, Any]:
    done = chain.finish(turn)
    seconds = {name: told["wall_seconds"] for name, told in done.items()}
    generate = done[Stage.GENERATE]
    told: dict[str, Any] = {
        "turn": turn,
        "day": day(turn),
        "method": chain.home.settings.get("update", {}).get("method", "raft"),
        "prompts": {name: done[Stage.VALIDATE]["metrics"][name] for name in ("train", "holdout")},
        "tokens": generate["tokens"],
        "responses": generate["rows_out"],
        "settled": generate["metrics"].get("settled"),
        "mean_reward": done[Stage.SCORE]["metrics"].get("mean_reward"),
        "seconds": seconds,
        "wall_seconds": round(sum(seconds.values()), 1),
    }
    update = done[Stage.UPDATE]
    if "refused" in update:
        return {**told, "refused": update["refused"]}
    release, verdict = done[Stage.REGISTER]["metrics"], done[Stage.GATE]["metrics"]
    return {
        **told,
        **scores(chain.home, turn, done[Stage.EVALUATE]),
        "rows": update["rows_out"],
        "update": facts(update),
        "verdict": {name: verdict[name] for name in ("decision", "reasons")},
        "version": release["version"],
        "champion_after": release["version"] if release["alias"] == "champion" else None,
    }
