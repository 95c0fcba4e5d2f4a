"""What the library's tests share: a real PostgreSQL server, a turn whose candidate has been evaluated, a small flywheel
with everything it names."""

import json
import re
import secrets
import shutil
import struct
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tao_ops import backends
from tao_ops.backends import trl_trainer
from tao_ops.config import load_flywheel
from tao_ops.database import start_embedded
from tao_ops.embedded_postgres import EmbeddedPostgres
from tao_ops.files import write_json
from tao_ops.lake import open_lake
from tao_ops.records import Completion, Message, ModelRef, Sampling
from tao_ops.settings import Settings
from tao_ops.stages import Run
from tao_ops.tables import TABLES
from tao_ops.turn import Turn
from trials.registry.lake import small_flywheel, store

FACTS = {"architecture": "LlamaForCausalLM", "parameters": 134_515_008, "dtype": "BF16"}


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """One embedded server for all tests of the session."""
    # A short path: a Unix socket's may not be longer than 107 characters.
    with tempfile.TemporaryDirectory(prefix="tao-") as home:
        server = start_embedded(Path(home))
        yield server
        server.stop()


@pytest.fixture
def database_url(postgres: EmbeddedPostgres) -> str:
    """The URL of a database of the test's own."""
    return postgres.url(f"tao_{secrets.token_hex(6)}")


@dataclass(frozen=True)
class JudgedTurn:
    """A turn with a candidate, its scores and its report: what gate and register find."""

    run: Run

    @property
    def folder(self) -> Path:
        """The run's artifacts."""
        return self.run.lake.artifacts(self.run.turn, self.run.run_id)

    def again(self, run_id: str) -> "JudgedTurn":
        """The same turn, attempted by another run."""
        return JudgedTurn(replace(self.run, run_id=run_id))

    def evaluate(
        self,
        champion: Sequence[float],
        candidate: Sequence[float],
        *,
        versions: tuple[str, str] = ("base", "cand"),
        champion_version: int = 0,
        **facts: Any,
    ) -> None:
        """Stand in for update and evaluate: the two models' scores on the same items, the manifest, the report."""
        models = [{"model_version": v, "path": str(self.folder / v), **FACTS} for v in versions]
        models[1] |= facts
        Path(models[1]["path"]).mkdir(parents=True, exist_ok=True)
        told = {"method": "raft", "hyperparameters": {"epochs": 3, "learning_rate": 1e-3}, "rows": 20, "seed": 7}
        base = {"version": champion_version, "model_version": versions[0]}
        manifest = {**models[1], **told, "base": base, "metrics": {"loss": 0.5, "tokens": 1000}}
        scores = {"champion": champion, "candidate": candidate}
        by_item = {arm: {f"i{n}": score for n, score in enumerate(each)} for arm, each in scores.items()}
        store(self.run, {**models[0], "version": champion_version}, manifest, by_item, engine="fake")


@pytest.fixture
def new_turn(tmp_path: Path, database_url: str) -> Callable[..., JudgedTurn]:
    """Makes turns of one flywheel, in one lake."""
    name = f"tickets_{secrets.token_hex(4)}"
    settings = Settings(
        home=tmp_path,
        cache=tmp_path / "cache",
        lake=str(tmp_path / "lake"),
        database_url=database_url,
        include=tmp_path / "include",
        hash_key="k",
    )

    def make(day: int = 21, run_id: str = "manual__1") -> JudgedTurn:
        start = datetime(2026, 11, day, tzinfo=UTC)
        turn = Turn(name, start, start + timedelta(days=1))
        lake, flywheel = open_lake(settings.lake), small_flywheel(name, "tickets")
        return JudgedTurn(Run(flywheel, turn, run_id, lake, settings, database_url, say=lambda line: None))

    return make


_MESSAGE = re.compile(r"(\w+) here, my (.+) never came to (.+)\.$")
NAMES = ("Anna", "Bela", "Cleo", "Dora", "Emil", "Fay", "Gus", "Hugo", "Ida", "Jan", "Kai", "Lea")
TEXTS = tuple(f"{name} here, my rain jacket never came to Den Haag." for name in NAMES)
"""A day's messages: what their writers want is plain."""


def right_answer(text: str) -> str:
    """The answer that a good model gives to one of :data:`TEXTS`."""
    found = _MESSAGE.match(text)
    assert found is not None, text
    return json.dumps(dict(zip(("customer", "product", "city"), found.groups(), strict=True)))


class FakeEngine:
    """Answers well where it sees worked examples, or where its model was trained; else with half a sentence."""

    max_model_len = 2048

    def __init__(self, name: str, model: ModelRef) -> None:
        self.name, self.model, self.asked = name, model, 0

    def generate(
        self, conversations: Sequence[Sequence[Message]], sampling: Sequence[Sampling] | Sampling
    ) -> list[list[Completion]]:
        each = [sampling] * len(conversations) if isinstance(sampling, Sampling) else sampling
        self.asked += len(conversations)
        return [
            [Completion(self._text(asked), [1, 2, 3], [-0.5, -0.25, -0.1], "stop", 3) for _ in range(how.samples)]
            for asked, how in zip(conversations, each, strict=True)
        ]

    def reload(self, model: ModelRef) -> None:
        self.model = model

    def _text(self, asked: Sequence[Message]) -> str:
        helped = len(asked) > 2 or (Path(self.model.path) / "trained").is_file()
        return f" {right_answer(asked[-1]['content'])}" if helped else "Sure, the customer is"


@dataclass
class SmallFlywheel:
    """A flywheel ``shop`` in a folder of the test's own, with all that its YAML names."""

    settings: Settings
    said: list[str]
    engines: list[FakeEngine]

    def run(self, day: int = 21, run_id: str = "manual__1", shard: int = 0) -> Run:
        """An attempt at the turn of that day; the YAML is read anew."""
        start = datetime(2026, 11, day, tzinfo=UTC)
        flywheel, turn = load_flywheel("shop", self.settings), Turn("shop", start, start + timedelta(days=1))
        lake, url = open_lake(self.settings.lake), self.settings.database_url
        assert url is not None
        return Run(flywheel, turn, run_id, lake, self.settings, url, shard, False, self.said.append)

    def change(self, key: str, value: Any) -> None:
        """Set one key of the YAML, ``a.b``."""
        path = self.settings.include / "flywheels" / "shop.yaml"
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        *parents, last = key.split(".")
        place = raw
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
        path.write_text(yaml.safe_dump(raw), encoding="utf-8")

    def log(self, texts: Sequence[str] = TEXTS, *, day: int = 21, name: str | None = None, user: str = "u1") -> Path:
        """Write a day's log: one good line per text."""
        lines = [self.line(text, f"req-{day}-{number}", day=day, user=user) for number, text in enumerate(texts)]
        return self.log_lines(lines, name=name or f"2026-11-{day}.jsonl")

    def log_lines(self, lines: Sequence[str], *, name: str) -> Path:
        """Write a log of these very lines."""
        path = self.settings.home / "logs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return path

    def line(self, text: str, request_id: str, *, day: int = 21, user: str = "u1", **request: Any) -> str:
        """One logged call."""
        body = {"user": user, "messages": [{"role": "user", "content": text}], **request}
        answer = {"model": "shop@0", "choices": [{"message": {"content": f"Re: {text}"}}]}
        at = f"2026-11-{day:02d}T12:00:00Z"
        return json.dumps({"request_id": request_id, "received_at": at, "request": body, "response": answer})

    def versions(self) -> dict[str, int | None]:
        """The version of every table of the lake: equal before and after where nothing was written."""
        lake = open_lake(self.settings.lake)
        return {name: lake.version(table) for name, table in TABLES.items()}

    @property
    def asked(self) -> int:
        """Conversations that any engine was asked."""
        return sum(engine.asked for engine in self.engines)


@pytest.fixture
def shop(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> SmallFlywheel:
    """A small flywheel on a fake engine and a fake trainer; the environment names its places."""
    home = tmp_path / "home"
    _write_include(tmp_path / "include", _write_model(tmp_path / "model"))
    places = {"HOME": home, "CACHE": home / "cache", "LAKE": home / "lake", "INCLUDE": tmp_path / "include"}
    for name, value in {**places, "DATABASE_URL": database_url, "HASH_KEY": "k"}.items():
        monkeypatch.setenv(f"TAO_{name}", str(value))
    shop = SmallFlywheel(Settings.from_env(), [], [])

    def start(model: ModelRef, **_: Any) -> FakeEngine:
        shop.engines.append(FakeEngine("fake 1", model))
        return shop.engines[-1]

    monkeypatch.setattr(backends, "start_engine", start)
    monkeypatch.setattr(backends, "engine_name", lambda: "fake 1")
    monkeypatch.setattr(trl_trainer, "train", _fake_train)
    return shop


def _fake_train(job: Any, rewarder: Any, *, say: Any = print, sink: Any = lambda step, figures: None) -> dict[str, Any]:
    """Learns the right answers at once, and answers the holdout before and after."""
    shutil.copytree(
        job.base.path, job.folder, ignore=shutil.ignore_patterns("*.parquet", "manifest.json", "phase.json")
    )
    (job.folder / "trained").touch()
    told = {"rows": len(job.examples), "method": job.method.value, "from": job.base.model_version}
    (job.folder / "generation_config.json").write_text(json.dumps(told), encoding="utf-8")
    asked = [one.messages[-1]["content"] for one in job.holdout]
    texts = {0: ["Sure"] * len(asked), 3: [right_answer(text) if _MESSAGE.match(text) else "Sure" for text in asked]}
    history = [{"step": step, "rewards": rewarder(job.holdout, texts[step])} for step in texts if asked]
    return {"loss": 0.5, "loss_last": 0.25, "steps": 3, "tokens": 40, "kept_step": 3, "holdout": history}


def _write_model(folder: Path) -> Path:
    folder.mkdir()
    header = json.dumps({"a": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]}}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 12)
    (folder / "config.json").write_text('{"architectures": ["Tiny"]}', encoding="utf-8")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_text("{}", encoding="utf-8")
    (folder / "chat_template.jinja").write_text("{{ messages }}", encoding="utf-8")
    return folder


def _write_include(include: Path, model: Path) -> None:
    for name in ("flywheels", "exam"):
        (include / name).mkdir(parents=True)
    keys = ["customer", "product", "city"]
    task = {
        "prompt": "prompt.txt",
        "expectations": "expectations.json",
        "strategies": [
            {"name": "plain", "samples": 1},
            {"name": "demonstrations", "samples": 4, "file": "examples.jsonl"},
        ],
        "scorers": [{"name": "json_schema", "keys": keys}, {"name": "grounding", "keys": keys}, {"name": "consensus"}],
        "benchmarks": [{"name": "exam", "path": "exam", "primary": True}],
    }
    flywheel = {
        "name": "shop",
        "model": str(model),
        "sources": [{"path": "${TAO_HOME}/logs/**/*.jsonl*", "namespace": "shop"}],
        "tasks": {"tickets": task},
        "generate": {"policy": "uniform"},
        "update": {"min_rows": 4},
        # Of six items none can show more than at this level; and a fake engine is never slow.
        "gate": {"alpha": 0.1, "guards": {"timed": 0}},
    }
    (include / "flywheels" / "shop.yaml").write_text(yaml.safe_dump(flywheel), encoding="utf-8")
    (include / "prompt.txt").write_text("Read the message.\n", encoding="utf-8")
    lengths = {"type": "expect_column_value_lengths_to_be_between", "kwargs": {"column": "text", "min_value": 12}}
    write_json(include / "expectations.json", {"name": "shop", "expectations": [lengths]})
    texts = [f"{name} here, my kettle never came to Oslo." for name in ("Mia", "Nils", "Olga", "Paul", "Rosa", "Sven")]
    items = [
        {"item_id": f"i{n}", "messages": [{"role": "user", "content": t}], "reference": json.loads(right_answer(t))}
        for n, t in enumerate(texts)
    ]
    (include / "exam" / "items.jsonl").write_text("".join(f"{json.dumps(i)}\n" for i in items), encoding="utf-8")
    example = "Tess here, my lamp never came to Rome."
    turns = [{"role": "user", "content": example}, {"role": "assistant", "content": right_answer(example)}]
    (include / "examples.jsonl").write_text(json.dumps({"messages": turns}) + "\n", encoding="utf-8")
