"""What the tests' Airflow runs in the place of the stages' interpreter: no model is loaded, the rest is real.

For the flywheel ``tickets`` every stage is real but for its model, which is one that is pretended; it stops in
mid-work as long as a test holds it. For those of :data:`IDLE` no stage does anything, but notes its turn. For the
others the stages before ``gate`` do nothing, and ``evaluate`` leaves the scores of two models; gate, register and the
registry are real.
"""

import hashlib
import json
import os
import re
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

PRETENDED = "tickets"
IDLE = ("daily", "halted")
WITH_A_MODEL = ("generate", "update", "evaluate")
BEFORE_GATE = ("ingest", "validate", "generate", "score", "update", "evaluate")
STAGES = (*BEFORE_GATE, "gate", "register")
MESSAGE = re.compile(r"(\w+) here, my (.+) never came to (.+)\.$")


def install(path: Path) -> Path:
    """Make ``path`` a program to name in ``TAO_PYTHON``."""
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -u "{__file__}" "$@"\n', encoding="utf-8")
    path.chmod(0o755)
    return path


def hold(stage: str) -> Path:
    """The file that stops this stage in mid-work, as long as it is there."""
    return Path(os.environ["TAO_HOME"]) / f"hold-{stage}"


def held_by(stage: str) -> int | None:
    """The process that has stopped there last."""
    try:
        return int(hold(stage).with_suffix(".pid").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):  # none yet; or it is being written
        return None


def turns_of(name: str) -> Path:
    """Where the stages of an idle flywheel note their turns, a line each."""
    return Path(os.environ["TAO_HOME"]) / f"turns-{name}"


def main(arguments: list[str]) -> None:
    """Do what ``tao`` with ``arguments`` is asked for, one way or another."""
    stage, name = arguments[0], (arguments[1:] or [""])[0]
    if name == PRETENDED and stage in WITH_A_MODEL:
        _with_a_pretended_model(arguments)
    elif name == PRETENDED or stage not in (STAGES if name in IDLE else BEFORE_GATE):
        os.execv(sys.executable, [sys.executable, "-u", "-m", "tao_ops.cli", *arguments])
    else:
        _do_nothing(stage, name, arguments)


def _do_nothing(stage: str, name: str, arguments: list[str]) -> None:
    def option(which: str) -> str:
        return arguments[arguments.index(which) + 1]

    if name in IDLE:
        with turns_of(name).open("a", encoding="utf-8") as noted:
            noted.write(option("--turn") + "\n")
        _wait(stage)
    elif stage == "evaluate":
        _leave_scores(name, option("--turn"), option("--run-id"))
    told = {"stage": stage, "rows_in": 2, "rows_out": 1, "inputs": {}, "output_version": 3, "metrics": {"shards": 1}}
    Path(option("--report")).write_text(json.dumps(told), encoding="utf-8")


def _wait(stage: str) -> None:
    if hold(stage).exists():
        hold(stage).with_suffix(".pid").write_text(str(os.getpid()), encoding="utf-8")
    while hold(stage).exists():
        time.sleep(0.1)


def _leave_scores(name: str, when: str, run_id: str) -> None:
    """Scores of a candidate that is much better than the champion."""
    from tao_ops.config import load_flywheel
    from tao_ops.database import database
    from tao_ops.lake import open_lake
    from tao_ops.models import model_digest
    from tao_ops.registry import open_registry
    from tao_ops.settings import Settings
    from tao_ops.stages import Run
    from tao_ops.turn import named_turn
    from tests.tao_ops.conftest import JudgedTurn, _write_model

    settings = Settings.from_env()
    flywheel = load_flywheel(name, settings)
    turn = named_turn(flywheel.name, when, schedule=flywheel.schedule, timezone=flywheel.timezone)
    with database(settings) as url:
        judged = JudgedTurn(Run(flywheel, turn, run_id, open_lake(settings.lake), settings, url, 0, True, print))
        made = _write_model(judged.folder / "made")
        (made / "generation_config.json").write_text(json.dumps(run_id), encoding="utf-8")
        candidate = model_digest(made)
        made.rename(judged.folder / candidate)
        champion = open_registry(url, settings).champion(flywheel.name)
        before = ("base", 0) if champion is None else (champion.model_version, champion.version)
        scores = [1.0] * 30 + [0.0] * 70, [1.0] * 80 + [0.0] * 20
        judged.evaluate(*scores, versions=(before[0], candidate), champion_version=before[1])


def _with_a_pretended_model(arguments: list[str]) -> None:
    from tao_ops import backends, cli
    from tao_ops.backends import trl_trainer
    from tests.tao_ops.conftest import FakeEngine, _fake_train

    class Pretended(FakeEngine):
        """Often right once trained, now and then where it is shown examples, seldom else; the same every time."""

        def generate(self, conversations: Any, sampling: Any) -> Any:
            _wait(arguments[0])
            trained = (Path(self.model.path) / "trained").is_file()
            answered = []
            for asked, samples in zip(conversations, super().generate(conversations, sampling), strict=True):
                share = 0.92 if trained else 0.7 if len(asked) > 2 else 0.4
                texts = [_answer(asked[-1]["content"], number, share) for number in range(len(samples))]
                answered.append([replace(each, text=text) for each, text in zip(samples, texts, strict=True)])
            return answered

    def start(model: Any, **_: Any) -> Pretended:
        return Pretended("pretended 1", model)

    def train(*job: Any, **how: Any) -> Any:
        _wait(arguments[0])
        return _fake_train(*job, **how)

    backends.start_engine = start
    backends.engine_name = lambda: "pretended 1"
    trl_trainer.train = train
    sys.argv = ["tao", *arguments]
    cli.main()


def _answer(text: str, number: int, share: float) -> str:
    """The right answer, for ``share`` of all texts and numbers, or one of three wrong ones."""
    found = MESSAGE.search(text)
    drawn = int(hashlib.sha256(f"{text} {number}".encode()).hexdigest()[:8], 16) / 2**32
    if found is None:
        return "Sure, the customer is"
    answer = dict(zip(("customer", "product", "city"), found.groups(), strict=True))
    if drawn < share:
        return json.dumps(answer)
    wrong = {**answer, "city": "Rome"}, {**answer, "product": "order"}, None
    chosen = wrong[int(drawn * 1000) % 3]
    return "Sure, the customer is" if chosen is None else json.dumps(chosen)


if __name__ == "__main__":
    main(sys.argv[3:])
