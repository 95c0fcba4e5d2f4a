"""What the tuned model is held against: its prompt with worked examples, training with labels, random rewards."""

import statistics
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tao_ops import champions, prompts, strategies
from tao_ops.benchmarks.item_sets import load_items
from tao_ops.records import Message, Prompt
from tao_ops.settings import Settings
from tao_ops.stages import Stage
from tao_ops.turn import path_safe
from trials.quality import gold
from trials.quality.cell import Cell
from trials.quality.home import Home, turn_of
from trials.quality.measure import candidate, scratch
from trials.quality.settings import TASK, TODAY, TURNS, day, flywheel_settings, update_of, updated
from trials.quality.stored import Chain

PROMPTS, GOLD_ONE, GOLD_THREE, RANDOM = "prompts", "gold labels, one turn", "gold labels, three turns", "random rewards"


def cells(chains: Sequence[Chain]) -> list[Cell]:
    """A cell is one seed and one control."""
    found = []
    for chain in chains:
        told, supervised = flywheel_settings(chain.seed), update_of("raft")
        # Nothing may know the true rewards: the holdout, on which the best checkpoint is chosen, is scored by them.
        blind = updated(told, watch={**told.get("update", {}).get("watch", {}), "queries": 0})
        one = flywheel_settings(chain.seed, update=supervised)
        three = flywheel_settings(chain.seed, update={**supervised, "start": "base", "window": len(TURNS)})
        found += [
            Cell(chain.seed, PROMPTS, {"tasks": told["tasks"]}, partial(_prompts, chain)),
            Cell(chain.seed, GOLD_ONE, one, partial(_gold, chain, (1,), GOLD_ONE, one)),
            Cell(chain.seed, GOLD_THREE, three, partial(_gold, chain, TURNS, GOLD_THREE, three)),
            Cell(chain.seed, RANDOM, {**told, "update": blind}, partial(_random, chain, {**told, "update": blind})),
        ]
    return found


def _gold(chain: Chain, turns: Sequence[int], name: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Supervised fine-tuning of the base model on every training prompt of the turns, with its right answer."""
    home = Home.new(chain.folder / f"cell-{path_safe(name)}", settings)
    known = gold.references(chain.seed, TODAY)
    taught = 0
    for turn in turns:
        for stage in (Stage.INGEST, Stage.VALIDATE):
            home.run(stage, day(turn), path_safe(name))
        taught += gold.teach(home.lake, turn_of(day(turn)), path_safe(name), known)
    told = candidate(chain, home, turns[-1], name)
    home.remove()
    return {**told, "prompts": taught}


def _random(chain: Chain, settings: dict[str, Any]) -> dict[str, Any]:
    """The flywheel's own update on turn one's responses, each with the reward of another."""
    with scratch(chain, chain.scored(1), RANDOM, settings) as home:
        changed = gold.permute(home.lake, turn_of(day(1)), path_safe(RANDOM), chain.seed)
        return {**candidate(chain, home, 1, RANDOM), "changed": changed}


def _prompts(chain: Chain) -> dict[str, Any]:
    """Mean tokens of what the model reads for a benchmark item: by the production prompt, and with worked examples.

    ``message`` is the mean of the item's own text, which both hold.
    """
    from transformers import AutoTokenizer

    home = chain.home
    flywheel = home.flywheel()
    folder: Path = champions.base_model(flywheel, Settings.from_env())
    tokenizer = AutoTokenizer.from_pretrained(folder)
    prompt, task = flywheel.prompt(TASK), flywheel.tasks[TASK]
    control = strategies.build(flywheel, TASK, seed=flywheel.seed)[str(flywheel.evaluate.control)]
    items = load_items(task.benchmarks[0], flywheel.file).items

    def tokens(messages: Sequence[Message]) -> int:
        told = tokenizer.apply_chat_template(
            list(messages), add_generation_prompt=True, tokenize=True, return_dict=False
        )
        return len(told)

    plain = [tokens(prompts.production(prompt, item.messages)) for item in items]
    shown = [tokens(control.conversation(Prompt(i.item_id, TASK, tuple(i.messages)), 0, ())) for i in items]
    said = [len(tokenizer.encode(i.messages[-1]["content"], add_special_tokens=False)) for i in items]
    means = {"production": statistics.mean(plain), "control": statistics.mean(shown), "message": statistics.mean(said)}
    return {"items": len(items), **means}
