"""A reward model from a flywheel's own outcomes, trained in truth on a model so small that it takes seconds."""

import json
from pathlib import Path
from typing import Any

import pytest

from tao_ops.backends import reward_trainer
from tao_ops.backends.reward_models import TransformersRewardModel
from tao_ops.backends.reward_trainer import RewardTraining
from tao_ops.errors import ConfigError, DataError, EngineError
from tao_ops.models import model_digest
from tao_ops.records import Candidate
from tao_ops.rewards import reward_model
from tao_ops.scoring.reward_fit import FitReport, fit
from tests.tao_ops.backends.tiny_models import write_model
from tests.tao_ops.scoring.reward_lake import NAMES, RIGHT, WRONG, RewardLake, reward_lake

QUICK = RewardTraining(epochs=8, learning_rate=2e-2, batch_size=4)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("base") / "model", "CausalLM", dtype="bfloat16")


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, base: Path) -> RewardLake:
    return reward_lake(tmp_path, monkeypatch, model=base)


def _fit(shop: RewardLake, out: Path, said: list[str] | None = None, **how: Any) -> FitReport:
    told = {"task": "tickets", "how": QUICK, **how}
    say = (said if said is not None else []).append
    return fit(shop.flywheel, shop.turn(), lake=shop.lake, settings=shop.settings, out=out, say=say, **told)


def test_a_model_learns_which_response_is_better_and_scores(shop: RewardLake, tmp_path: Path) -> None:
    shop.ask_all()
    out, said = tmp_path / "models" / "reward", list[str]()
    report = _fit(shop, out, said)
    assert report.pairs == {"verifier": 11} and (report.queries, report.held_out) == (11, 3)
    assert report.accuracy == 1.0 and report.interval[0] < 1.0 and report.longer == 0.0
    assert said[0] == "11 pairs (11 by verifier) of 1 turn(s); 3 queries are held out"

    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["model_version"] == report.model_version == model_digest(out)
    assert manifest["base"]["model_version"] == model_digest(Path(shop.flywheel.model))
    assert manifest["lineage"]["tables"]["rewards"] > 0 and manifest["hyperparameters"]["epochs"] == 8
    lines = [json.loads(line) for line in (out / "pairs.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["split"] for line in lines].count("held_out") == 3
    every = (out / "manifest.json").read_text() + (out / "pairs.jsonl").read_text()
    assert not any(name in every for name in NAMES)  # nobody's text

    model = TransformersRewardModel(out, say=lambda line: None)
    batch = [Candidate("q", "Zoe here, my lamp never came.", text.format("Zoe")) for text in (RIGHT, WRONG)]
    right, wrong = (one.value for one in reward_model.score(batch, ask=model))
    assert right is not None and wrong is not None and right > wrong
    assert [path.name for path in out.parent.iterdir()] == ["reward"]


def test_the_same_data_and_seed_make_the_same_model(shop: RewardLake, tmp_path: Path) -> None:
    shop.ask_all()
    how = RewardTraining(epochs=1)
    digests = {_fit(shop, tmp_path / name, how=how).model_version for name in ("one", "two")}
    assert len(digests) == 1


def test_a_folder_that_exists_is_left_alone(shop: RewardLake, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(ConfigError, match="the folder exists"):
        _fit(shop, tmp_path / "out")


def test_too_few_pairs_are_refused(shop: RewardLake, tmp_path: Path) -> None:
    shop.ask({"q0": "Anna here.", "q1": "Bela here."})
    shop.answer(
        [
            {"query_id": query_id, "text": text, "scores": {"json_schema": score}, "reward": score}
            for query_id in ("q0", "q1")
            for text, score in (("good", 1.0), ("bad", 0.0))
        ]
    )
    with pytest.raises(DataError, match="only 1 pairs to train on, 8 are needed"):
        _fit(shop, tmp_path / "out")


def test_what_fails_leaves_no_folder(shop: RewardLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.ask_all()
    with pytest.raises(EngineError, match="no pair is within 5 tokens"):
        _fit(shop, tmp_path / "out", how=RewardTraining(max_length=5))

    def half(*_: Any, folder: Path, **__: Any) -> dict[str, Any]:
        folder.mkdir()
        raise EngineError("the sky fell")

    monkeypatch.setattr(reward_trainer, "train", half)
    with pytest.raises(EngineError, match="the sky fell"):
        _fit(shop, tmp_path / "out")
    assert not [path for path in tmp_path.iterdir() if "out" in path.name]
