"""``tao reward fit``: a reward model from a flywheel's own outcomes, as a folder that a scorer can name."""

import json
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tao_ops import champions, lineage
from tao_ops.backends import reward_trainer
from tao_ops.backends.reward_models import TransformersRewardModel
from tao_ops.backends.reward_trainer import RewardTraining
from tao_ops.benchmarks.paired import mean_interval
from tao_ops.config import Flywheel
from tao_ops.errors import ConfigError, DataError
from tao_ops.files import write_json
from tao_ops.lake import Lake
from tao_ops.models import model_digest
from tao_ops.records import Candidate, Message, Progress
from tao_ops.rewards.reward_model import conversation
from tao_ops.scoring.reward_pairs import Preference, held_out, preferences
from tao_ops.settings import Settings
from tao_ops.turn import Turn

MANIFEST, PAIRS = "manifest.json", "pairs.jsonl"
LEAST = 8
"""Fewer pairs than this are not trained on."""
_PLAIN = RewardTraining()


@dataclass(frozen=True)
class FitReport:
    """What was trained, and how well it tells the better response of a query that it never saw.

    Attributes:
        model_version: digest of the model in ``folder``.
        pairs: trained on, by what said which response is better.
        queries: that these pairs are of.
        held_out: pairs that were not trained on, one per query: what ``accuracy`` is over.
        accuracy: share of them whose better response has the higher number, with Wilson's 95 % interval.
        longer: what always preferring the longer response would have reached on the same pairs.
        training: the loss, and how much was seen.
    """

    folder: str
    model_version: str
    pairs: dict[str, int]
    queries: int
    held_out: int
    accuracy: float
    interval: tuple[float, float]
    longer: float
    seconds: float
    training: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain values only."""
        return asdict(self)


def fit(
    flywheel: Flywheel,
    turn: Turn,
    *,
    task: str,
    lake: Lake,
    settings: Settings,
    out: Path,
    window: int = 7,
    margin: float = 0.5,
    how: RewardTraining = _PLAIN,
    say: Progress = print,
) -> FitReport:
    """Train a reward model on the preferences in a task's responses and write it to ``out``.

    It starts from the model that the flywheel started from. Only training prompts are used, none that is of a
    benchmark or near the holdout; a fifth of the queries is held out for the report. ``out`` appears whole or not at
    all; beside the model it holds a manifest and the ids of the pairs, no texts.

    Args:
        window: turns whose responses are compared, ``turn`` the last of them.
        margin: by how much rewards must differ where verifiers and users say nothing.

    Raises:
        ConfigError: there is no such task, or ``out`` exists.
        MissingInput: no turn has rewards.
        DataError: there are no pairs, or too few.
        ModelError: the base cannot be loaded.
        EngineError: training failed; ``out`` was not written.
    """
    started = time.monotonic()
    if out.exists():
        raise ConfigError("the folder exists", where=out, mend="name another, or remove it")
    found = preferences(flywheel, turn, task=task, lake=lake, window=window, margin=margin)
    seed = turn.seed(flywheel.seed, "reward_fit", task)
    train, held = held_out(found.preferences, seed)
    by_source = dict(Counter(one.pair.source.value for one in train))
    if len(train) < LEAST:
        what = f"only {len(train)} pairs to train on, {LEAST} are needed"
        raise DataError(what, where=f"{turn.key}, task {task}", mend="widen --window, lower --margin, or add samples")
    told = ", ".join(f"{count} by {source}" for source, count in by_source.items())
    say(f"{len(train)} pairs ({told}) of {len(found.turns)} turn(s); {len(held)} queries are held out")
    base = champions.base_model(flywheel, settings, say)
    with _folder(out) as part:
        metrics = reward_trainer.train(base, [_pair(one) for one in train], how, seed=seed, folder=part, say=say)
        accuracy, interval = _accuracy(part, held, say)
        report = FitReport(
            folder=str(out),
            model_version=model_digest(part),
            pairs=by_source,
            queries=len({one.prompt.query_id for one in train}),
            held_out=len(held),
            accuracy=accuracy,
            interval=interval,
            longer=sum(len(one.pair.chosen) > len(one.pair.rejected) for one in held) / len(held),
            seconds=round(time.monotonic() - started, 1),
            training=metrics,
        )
        _write_pairs(part / PAIRS, train, held)
        manifest = {
            **report.as_dict(),
            "kind": "reward_model",
            "flywheel": flywheel.name,
            "task": task,
            "base": {"path": str(base), "model_version": model_digest(base)},
            "seed": seed,
            "margin": margin,
            "hyperparameters": asdict(how),
            "kept_from_training": found.kept_away,
            "lineage": lineage.facts(flywheel, found.turns, found.inputs, part / PAIRS),
        }
        write_json(part / MANIFEST, manifest)
    return report


@contextmanager
def _folder(out: Path) -> Iterator[Path]:
    """A folder that takes the place of ``out`` once the block has ended well."""
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(f".{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # what a killed attempt left
    try:
        yield part
        part.rename(out)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _pair(one: Preference) -> reward_trainer.Pair:
    return reward_trainer.Pair(*(_asked(one, text) for text in (one.pair.chosen, one.pair.rejected)))


def _asked(one: Preference, text: str) -> list[Message]:
    """What the model is given when it scores."""
    prompt = one.prompt
    return conversation(Candidate(prompt.query_id, prompt.text, text, context=prompt.context))


def _accuracy(folder: Path, held: Sequence[Preference], say: Progress) -> tuple[float, tuple[float, float]]:
    """Of the model as it was saved; equal numbers, or none, tell nothing and count as wrong."""
    ask = TransformersRewardModel(folder, say=say)
    chosen = ask([_asked(one, one.pair.chosen) for one in held])
    rejected = ask([_asked(one, one.pair.rejected) for one in held])
    right = [
        float(not isinstance(good, str) and not isinstance(bad, str) and good > bad)
        for good, bad in zip(chosen, rejected, strict=True)
    ]
    return sum(right) / len(right), mean_interval(right)


def _write_pairs(path: Path, train: Sequence[Preference], held: Sequence[Preference]) -> None:
    """The ids of the pairs, a line of JSON each."""
    lines = [
        json.dumps(
            {"query_id": one.prompt.query_id, "source": one.pair.source.value, "split": split, "ids": one.pair.ids}
        )
        for split, pairs in (("train", train), ("held_out", held))
        for one in pairs
    ]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
