"""The flywheel with both tasks: its YAML, and the files of the second one, made of the questions as they are read."""

import json
import math
import re
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tao_ops import strategies
from tao_ops.config import Flywheel
from tao_ops.example.logs import write_logs
from tao_ops.records import Prompt
from trials.quality.cell import data_digest, digest
from trials.quality.home import Home
from trials.quality.second_task import questions
from trials.quality.second_task.questions import TASK, Asked
from trials.quality.settings import FLYWHEEL, TODAY, flywheel_settings

PER_DAY = 300
"""Questions of a day: four of each intent, mean of the 77."""
PROBED = 60
"""Questions of a day, where it is only asked what exploration finds."""
BUDGET = 100_000
"""Tokens of a turn: the example's own 40,000, and about what the second task's samples cost."""
PROMPT = (
    "You read a question that a customer asks a bank. Reply with one line of strict JSON and nothing else: an object "
    'with exactly the key "intent", whose value is a short name of what the customer wants, in lower case with '
    "underscores."
)
"""It names no intent: to list all 77 costs some 500 tokens in each call. Training has to make up for that."""
NEAREST: Mapping[str, int] = {"nearest_four": 4, "nearest_ten": 10}
"""Templates that show the intents whose name and example share the rarest words with the question; how many."""
STRATEGIES: Sequence[Mapping[str, Any]] = (
    {"name": "plain", "samples": 1, "temperature": 0.8},
    {"name": "structured", "samples": 2, "temperature": 0.8},
    {"name": "demonstrations", "samples": 2, "temperature": [0.3, 0.7], "file": f"{TASK}/demonstrations.jsonl"},
    *(
        {"name": name, "samples": 6, "temperature": [0.3, 0.6, 0.9], "templates": {"ask": f"{TASK}/{name}.txt"}}
        for name in NEAREST
    ),
)
"""Of ``structured`` and ``demonstrations`` two responses each, which cannot settle a query by agreeing: on the first 24
questions of seed 1 they were seldom right. More than that was not tuned."""
_CHUNK = 11
"""Intents that one worked example of ``demonstrations`` lists: seven of them list all, in six shuffled orders."""
_WORD = re.compile(r"[a-z]+")
_SIGNS = "?!.,;:'\"()/-_"


def settings(seed: int) -> dict[str, Any]:
    """The example's YAML with the second task beside the first; the first task's benchmark stays the primary one."""
    told = flywheel_settings(seed)
    return {
        **told,
        "description": f"tickets and intents, {shape()}",
        "sources": _sources(told, FLYWHEEL, TASK),
        "tasks": {**told["tasks"], TASK: _task(primary=False)},
        "generate": {**told["generate"], "budget": {"tokens": BUDGET}},
    }


def alone(seed: int) -> dict[str, Any]:
    """The second task by itself, each of its strategies asked equally often: what exploration finds."""
    told = flywheel_settings(seed)
    return {
        **told,
        "description": f"intents, {shape()}",
        "sources": _sources(told, TASK),
        "tasks": {TASK: _task(primary=True)},
        "generate": {"policy": "uniform"},
    }


def shape() -> str:
    """A digest of what shapes the second task's files beside the questions, so that other files are another cell."""
    return digest([PROMPT, _template(1, [], {}), _CHUNK, PER_DAY, PROBED, questions.ITEMS])


def _sources(told: Mapping[str, Any], *tasks: str) -> list[dict[str, Any]]:
    (source,) = told["sources"]
    return [{**source, "tasks": [{"task": task, "model": task} for task in tasks]}]


def _task(*, primary: bool) -> dict[str, Any]:
    return {
        "prompt": f"{TASK}/production.txt",
        "expectations": "expectations/tickets.json",
        "max_tokens": 32,
        "privacy": {"names": False},
        "json_schema": f"{TASK}/answer.schema.json",
        "strategies": [dict(one) for one in STRATEGIES],
        # An answer is a whole line of the closed set: one way to write each intent, and no other JSON.
        "scorers": [{"name": "label", "file": f"{TASK}/answers.txt"}, {"name": "consensus", "votes": 2}],
        "benchmarks": [{"name": questions.BENCHMARK, "path": TASK, "metric": "exact_json", "primary": primary}],
    }


class TwoTasks(Home):
    """A home whose ``include/`` holds the second task's files too, and whose logs its questions."""

    @classmethod
    def opened(cls, folder: Path, settings: Mapping[str, Any], per_day: int) -> "TwoTasks":
        """The home as it was left, if that was under these settings; else an empty one with its logs.

        Raises:
            StageFailed: the questions are not there.
        """
        home = cls(folder)
        if home.data == data_digest() and home.settings == settings:
            return home
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        home = cls(folder)
        home.configure(settings)
        logs = folder / "home" / "logs" / FLYWHEEL
        if FLYWHEEL in settings["tasks"]:
            prompt = home.flywheel().prompt(FLYWHEEL)
            write_logs(logs, seed=settings["seed"], today=TODAY, system_prompt=prompt)
        questions.write_traffic(logs, settings["seed"], per_day, PROMPT)
        home.data = data_digest()  # last: without it the home counts for nothing
        home._write()
        return home

    def configure(self, settings: Mapping[str, Any]) -> None:
        """Write the second task's files, then take the settings."""
        for name, text in files().items():
            path = self.folder / "include" / TASK / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        super().configure(settings)


def files() -> dict[str, str]:
    """The second task's files below ``include/intents/``, by name.

    Raises:
        StageFailed: the questions are not there.
    """
    labels, shown = questions.intents(), questions.examples()
    weights = word_weights([asked.text for asked in questions.read("train")])
    return {
        "production.txt": f"{PROMPT}\n",
        "answers.txt": "".join(f"{questions.answer(label)}\n" for label in labels),
        "answer.schema.json": json.dumps(_schema(labels)),
        "demonstrations.jsonl": "".join(f"{json.dumps(one)}\n" for one in _demonstrations(shown)),
        "items.jsonl": "".join(f"{json.dumps(one)}\n" for one in _items(questions.exam())),
        **{f"{name}.txt": _template(count, shown, weights) for name, count in NEAREST.items()},
    }


def nearest(told: Flywheel) -> dict[str, dict[str, float]]:
    """By template, for which share of the exam the right intent is shown, and stands next to the question.

    No model is asked: it is what the words alone find, and what a model must add to.
    """
    ways = strategies.build(told, TASK, seed=told.seed)
    found = {}
    for name in NEAREST:
        shown, first = 0, 0
        for asked in questions.exam():
            prompt = Prompt("", TASK, ({"role": "user", "content": asked.text},))
            lines = ways[name].conversation(prompt, 0, ())[0]["content"].rstrip().split("\n")
            right = questions.answer(asked.intent)
            shown += right in lines
            first += right == lines[-1]
        found[name] = {"shown": shown / len(questions.exam()), "first": first / len(questions.exam())}
    return found


def word_weights(texts: Sequence[str]) -> dict[str, float]:
    """How rare each word of the questions is, ln(n / texts with it): nobody has to label a question for that.

    >>> {word: round(weight, 2) for word, weight in word_weights(["my card", "my pin", "my pin"]).items()}
    {'card': 1.1, 'my': 0.0, 'pin': 0.41}
    """
    count = Counter(word for text in texts for word in set(words(text)))
    return {word: math.log(len(texts) / n) for word, n in sorted(count.items())}


def words(text: str) -> list[str]:
    """Runs of letters in lower case; those of an intent's name are split at the underscores.

    >>> words("Where's my new card_arrival?")
    ['where', 's', 'my', 'new', 'card', 'arrival']
    """
    return _WORD.findall(text.lower())


def _schema(labels: Sequence[str]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"intent": {"type": "string", "enum": list(labels)}},
        "required": ["intent"],
        "additionalProperties": False,
    }


def _items(asked: Sequence[Asked]) -> list[dict[str, Any]]:
    return [
        {
            "item_id": f"{questions.BENCHMARK}-{number:03d}",
            "messages": [{"role": "user", "content": one.text}],
            "reference": {"intent": one.intent},
        }
        for number, one in enumerate(asked, 1)
    ]


def _demonstrations(shown: Sequence[Asked]) -> list[dict[str, Any]]:
    """Each lists some intents with their examples, then asks one of these: no label beside the one of each intent."""
    found = []
    for first in range(0, len(shown), _CHUNK):
        chunk = shown[first : first + _CHUNK]
        listed = "\n".join(f"{one.intent}: {one.text}" for one in chunk)
        asked = chunk[first // _CHUNK % len(chunk)]
        question = f"Intents, each with a question of its kind:\n{listed}\n\n{asked.text}"
        found.append(
            {
                "messages": [
                    {"role": "user", "content": question},
                    {"role": "assistant", "content": questions.answer(asked.intent)},
                ]
            }
        )
    return found


def _template(count: int, shown: Sequence[Asked], weights: Mapping[str, float]) -> str:
    """A template that ranks the intents by the words that the question shares with them, and shows the first ones.

    The likest stands last, next to the question. A shared word counts as it is rare; the sum is divided by the root
    of how many words the intent has. Only the worked examples are known by their label.
    """
    rows = ", ".join(_row(asked, weights) for asked in shown)
    cleaned = "query|lower" + "".join(f"|replace({json.dumps(sign)}, ' ')" for sign in _SIGNS)
    return (
        f"{{% set rows = [{rows}] %}}\n"
        f"{{% set words = ({cleaned}).split() %}}\n"
        "{% set ranked %}\n"
        "{% for row in rows %}\n"
        "{{ '%06d'|format(row[2].items()|selectattr(0, 'in', words)|sum(attribute=1)) }}|{{ loop.index0 }}\n"
        "{% endfor %}\n"
        "{% endset %}\n"
        "{{ prompt }}\n"
        "\n"
        "The value is the intent of one of these questions. Copy the line below the one that asks for the same:\n"
        f"{{% for line in (ranked.split()|sort)[-{count}:] %}}\n"
        "{% set row = rows[line.split('|')[1]|int] %}\n"
        "\n"
        "{{ row[1] }}\n"
        '{"intent": "{{ row[0] }}"}\n'
        "{% endfor %}\n"
    )


def _row(asked: Asked, weights: Mapping[str, float]) -> str:
    mine = sorted({*words(asked.intent), *words(asked.text)})
    told = {word: round(1000 * weights.get(word, 0.0) / math.sqrt(1 + len(mine))) for word in mine}
    return f"({json.dumps(asked.intent)}, {json.dumps(asked.text)}, {json.dumps(told)})"
