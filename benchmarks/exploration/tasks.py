"""The labelled tasks that exploration is measured on: each a flywheel of its own, queries, and their right answers."""

import csv
import json
import os
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tao_ops.answers import strict_object
from tao_ops.config import Flywheel, load_flywheel
from tao_ops.example.benchmark import development_items
from tao_ops.records import Prompt
from tao_ops.settings import PROJECT, Settings

DATA = Path(os.environ.get("TAO_DATA") or PROJECT.parent / "shared" / "data")
SEED = 7
_EXAMPLE_QUERIES, _BANKING_QUERIES, _BANKING_EXAMPLES = 60, 60, 8

STRATEGIES: Sequence[dict[str, Any]] = (
    {"name": "plain", "samples": 8, "temperature": 0.8},
    {"name": "demonstrations", "samples": 24, "temperature": 0.4, "file": "examples.jsonl"},
    {"name": "structured", "samples": 8, "temperature": 0.8},
    {"name": "chain_of_thought", "samples": 4, "temperature": 0.8, "max_tokens": 96},
)


@dataclass(frozen=True)
class Labelled:
    """A task whose right answers are known; exploration never sees them.

    Attributes:
        flywheel: with one task, of the same name.
        references: the right answer by query.
    """

    name: str
    flywheel: Flywheel
    prompts: Sequence[Prompt]
    references: Mapping[str, Mapping[str, str]]

    def right(self, query_id: str, answer: str) -> bool:
        """Whether an answer is the right one."""
        return strict_object(answer) == self.references[query_id]


def example(scratch: Path) -> Labelled:
    """Messages made of the wording and the values of the example's logs; the benchmark is not among them."""
    include = Settings.from_env().include
    items = development_items(SEED, _EXAMPLE_QUERIES)
    keys = ["customer", "product", "city"]
    told = {
        "prompt": (include / "prompts" / "tickets" / "production.txt").read_text(encoding="utf-8"),
        "examples": (include / "example" / "demonstrations.jsonl").read_text(encoding="utf-8"),
        "schema": _schema({key: {"type": "string", "minLength": 1} for key in keys}),
        "scorers": [{"name": "grounding", "keys": keys}],
        "keys": keys,
        "max_tokens": 64,
    }
    return _labelled("example", scratch, told, [(i["messages"][0]["content"], i["reference"]) for i in items])


def banking77(scratch: Path) -> Labelled | None:
    """Real questions to a bank, one of 77 intents each; None where the data is not there."""
    folder = DATA / "banking77"
    if not folder.is_dir():
        return None
    intents = json.loads((folder / "categories.json").read_text(encoding="utf-8"))
    with (folder / "train.csv").open(encoding="utf-8", newline="") as file:
        rows = [(row["text"], {"intent": row["category"]}) for row in csv.DictReader(file)]
    random.Random(SEED).shuffle(rows)
    shown, asked = rows[:_BANKING_EXAMPLES], rows[_BANKING_EXAMPLES : _BANKING_EXAMPLES + _BANKING_QUERIES]
    told = {
        "prompt": "You sort a question of a bank's customer. Reply with one line of strict JSON and nothing else: an "
        f'object with exactly the key "intent", whose value is one of: {", ".join(intents)}.',
        "examples": "\n".join(_turns(text, reference) for text, reference in shown),
        "schema": _schema({"intent": {"enum": intents}}),
        "scorers": [],
        "keys": ["intent"],
        "max_tokens": 24,
    }
    return _labelled("banking77", scratch, told, asked)


def _schema(properties: Mapping[str, Any]) -> str:
    told = {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
    return json.dumps(told)


def _turns(text: str, reference: Mapping[str, str]) -> str:
    turns = [{"role": "user", "content": text}, {"role": "assistant", "content": json.dumps(reference)}]
    return json.dumps({"messages": turns})


def _labelled(
    name: str, scratch: Path, told: Mapping[str, Any], asked: Sequence[tuple[str, Mapping[str, str]]]
) -> Labelled:
    include = scratch / name
    _write(include, name, told)
    settings = Settings.from_env()
    flywheel = load_flywheel(name, Settings(**{**vars(settings), "include": include}))
    # Longest first, as the stage takes them.
    pairs = sorted(asked, key=lambda pair: (-len(pair[0]), pair[0]))
    prompts = [Prompt(f"q{i}", name, ({"role": "user", "content": text},)) for i, (text, _) in enumerate(pairs)]
    references = {prompt.query_id: reference for prompt, (_, reference) in zip(prompts, pairs, strict=True)}
    return Labelled(name, flywheel, prompts, references)


def _write(include: Path, name: str, told: Mapping[str, Any]) -> None:
    """An include folder with all that the flywheel's YAML names."""
    for folder in ("flywheels", "exam", "prompts/strategies"):
        (include / folder).mkdir(parents=True, exist_ok=True)
    for template in (Settings.from_env().include / "prompts" / "strategies").iterdir():
        (include / "prompts" / "strategies" / template.name).write_text(template.read_text(encoding="utf-8"))
    (include / "prompt.txt").write_text(told["prompt"], encoding="utf-8")
    (include / "examples.jsonl").write_text(told["examples"], encoding="utf-8")
    (include / "schema.json").write_text(told["schema"], encoding="utf-8")
    (include / "suite.json").write_text('{"name": "none", "expectations": []}', encoding="utf-8")
    (include / "exam" / "items.jsonl").write_text("", encoding="utf-8")
    task = {
        "prompt": "prompt.txt",
        "expectations": "suite.json",
        "json_schema": "schema.json",
        "max_tokens": told["max_tokens"],
        "strategies": list(STRATEGIES),
        "scorers": [
            {"name": "json_schema", "keys": told["keys"]},
            *told["scorers"],
            {"name": "consensus", "votes": 2},
        ],
        "benchmarks": [{"name": "exam", "path": "exam", "primary": True}],
    }
    flywheel = {"name": name, "sources": [{"path": "none"}], "tasks": {name: task}, "update": {"min_reward": 0.6}}
    (include / "flywheels" / f"{name}.yaml").write_text(yaml.safe_dump(flywheel), encoding="utf-8")
