"""A small flywheel with scored responses, of which some are better than others."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tao_ops.config import Flywheel, load_flywheel
from tao_ops.files import write_json
from tao_ops.lake import Lake, open_lake
from tao_ops.settings import Settings
from tao_ops.tables import PROMPTS, QUERIES, RESPONSES, REWARDS
from tao_ops.turn import Turn

NAMES = ("Anna", "Bela", "Cleo", "Dora", "Emil", "Fay", "Gus", "Hugo", "Ida", "Jan", "Kai", "Lea", "Max", "Nora")
RIGHT, WRONG = '{{"customer": "{}"}}', "Sure, I will tell you who it is: {}"
ITEM = "Mia here, my kettle never came to Oslo."


@dataclass
class RewardLake:
    """A flywheel ``shop`` with one task, and its tables."""

    settings: Settings

    @property
    def flywheel(self) -> Flywheel:
        """The YAML, read anew."""
        return load_flywheel("shop", self.settings)

    @property
    def lake(self) -> Lake:
        """Its tables."""
        return open_lake(self.settings.lake)

    def turn(self, day: int = 21) -> Turn:
        """The turn of that day."""
        start = datetime(2026, 11, day, tzinfo=UTC)
        return Turn("shop", start, start + timedelta(days=1))

    def ask(self, texts: Mapping[str, str], *, day: int = 21, task: str = "tickets", **columns: Any) -> None:
        """Write a day's prompts: text by query_id."""
        rows = [
            {"query_id": one, "task": task, "messages": [{"role": "user", "content": text}], "count": 1}
            | {"cluster": one, "split": "train", **columns}
            for one, text in texts.items()
        ]
        self.lake.write(PROMPTS, rows, turn=self.turn(day), run_id="r")

    def answer(self, answers: Sequence[Mapping[str, Any]], *, day: int = 21) -> None:
        """Write a day's responses with their rewards; each has a ``query_id`` and a ``text``."""
        responses, rewards = [], []
        for i, one in enumerate(answers):
            shared = {"response_id": f"{day}-{i:03}", "query_id": one["query_id"]}
            ending = one.get("finish_reason", "stop")
            responses.append({**shared, "text": one["text"], "answer": one["text"], "finish_reason": ending})
            scores = list(one.get("scores", {}).items())
            rewards.append({**shared, "scores": scores, "undecided": [], "reward": one.get("reward"), "flags": []})
        self.lake.write(RESPONSES, responses, turn=self.turn(day), run_id="r", shard=0)
        self.lake.write(REWARDS, rewards, turn=self.turn(day), run_id="r", shard=0)

    def rate(self, ratings: Sequence[tuple[str, str, str]], *, day: int = 21) -> None:
        """Write a day's queries: query_id, response and feedback."""
        rows = [
            {"query_id": query_id, "request_id": f"r{i}", "source": "s", "response": response, "feedback": feedback}
            for i, (query_id, response, feedback) in enumerate(ratings)
        ]
        self.lake.write(QUERIES, rows, turn=self.turn(day), run_id="r")

    def ask_all(self, day: int = 21) -> None:
        """A prompt of each of :data:`NAMES`, with a response that passes and one that does not."""
        texts = {f"q{i}": f"{name} here, my rain jacket never came to Den Haag." for i, name in enumerate(NAMES)}
        self.ask(texts, day=day)
        answers = []
        for query_id, name in zip(texts, NAMES, strict=True):
            answers += [
                {"query_id": query_id, "text": RIGHT.format(name), "scores": {"json_schema": 1.0}, "reward": 1.0},
                {"query_id": query_id, "text": WRONG.format(name), "scores": {"json_schema": 0.0}, "reward": 0.0},
            ]
        self.answer(answers, day=day)


def reward_lake(folder: Path, monkeypatch: pytest.MonkeyPatch, *, model: Path, **task: Any) -> RewardLake:
    """A flywheel in ``folder`` that starts from ``model``; the environment names its places."""
    include = folder / "include"
    (include / "flywheels").mkdir(parents=True)
    (include / "exam").mkdir()
    item = {"item_id": "i", "messages": [{"role": "user", "content": ITEM}], "reference": {"customer": "Mia"}}
    (include / "exam" / "items.jsonl").write_text(json.dumps(item) + "\n", encoding="utf-8")
    (include / "prompt.txt").write_text("Read the message.\n", encoding="utf-8")
    write_json(include / "expectations.json", {"name": "shop", "expectations": []})
    told = {
        "prompt": "prompt.txt",
        "expectations": "expectations.json",
        "strategies": [{"name": "plain", "samples": 1}],
        "scorers": [{"name": "json_schema", "keys": ["customer"]}, {"name": "consensus"}],
        "benchmarks": [{"name": "exam", "path": "exam", "primary": True}],
        **task,
    }
    flywheel = {"name": "shop", "model": str(model), "sources": [{"path": "x"}], "tasks": {"tickets": told}}
    text = yaml.safe_dump({**flywheel, "evaluate": {"control": None}})
    (include / "flywheels" / "shop.yaml").write_text(text, encoding="utf-8")
    places = {"HOME": folder / "home", "CACHE": folder / "cache", "LAKE": folder / "lake", "INCLUDE": include}
    for name, value in {**places, "HASH_KEY": "k"}.items():
        monkeypatch.setenv(f"TAO_{name}", str(value))
    return RewardLake(Settings.from_env())
