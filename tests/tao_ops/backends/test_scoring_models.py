"""Models that scorers ask: each loaded when it is first wanted, and once."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tao_ops.backends import embedded_model, embedder, vllm_engine
from tao_ops.backends.scoring_models import ScoringModels
from tao_ops.config import EmbeddingConfig, EngineConfig, JudgeConfig, RewardModelConfig, ServerConfig
from tao_ops.errors import ConfigError, EngineError, ModelError
from tao_ops.records import Candidate, Message, ModelRef
from tao_ops.rewards import judge, reward_model
from tests.tao_ops.backends.faulty_server import likeliest, running
from tests.tao_ops.backends.tiny_models import write_model

ENGINE = EngineConfig(context=64)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``include`` with models in it."""
    include = tmp_path_factory.mktemp("include")
    write_model(include / "models" / "reward")
    write_model(include / "models" / "encoder", "Model")
    write_model(include / "models" / "judge", "CausalLM")
    return include


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of the models that local engines were started with: starting none of them in truth."""
    paths: list[str] = []

    class Engine:
        def __init__(self, model: ModelRef, *, seed: int, config: EngineConfig, say: Callable[[str], None]) -> None:
            assert (seed, config) == (3, ENGINE)
            paths.append(model.path)

    monkeypatch.setattr(vllm_engine, "VllmEngine", Engine)
    return paths


def _models(folder: Path, champion: Callable[[], ModelRef] = lambda: pytest.fail("asked for")) -> ScoringModels:
    return ScoringModels(
        include=folder, cache=folder / "cache", champion=champion, engine=ENGINE, seed=3, say=lambda line: None
    )


def _judge(**more: Any) -> JudgeConfig:
    return JudgeConfig(name="judge", kind="judge", rubric="r.txt", **more)


def test_a_local_judge_is_started_once(folder: Path, started: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "models" / "judge"
    asked: list[int] = []

    def champion() -> ModelRef:
        asked.append(1)
        return ModelRef(str(path), "x", 4)

    monkeypatch.setattr(embedded_model, "prepare", lambda cache, say: path)
    models = _models(folder, champion)
    assert started == []
    found = {
        id(models.judge(_judge(model=model, mode=mode)))
        for model in ("champion", "embedded", "models/judge", str(path), "champion")
        for mode in ("single", "group")
    }
    assert len(found) == 1 and started == [str(path)] and asked


def test_a_judge_behind_a_server_is_looked_for_once(folder: Path, started: list[str]) -> None:
    with running() as server:
        server.always = likeliest({"Yes": math.log(0.9), "No": math.log(0.1)})
        config = _judge(server=ServerConfig(url=server.url, model="m", attempts=1))
        models = _models(folder)
        assert models.judge(config) is models.judge(_judge(server=config.server, mode="pairwise"))
        batch = [Candidate("q", "2 + 2?", "4")]
        [found] = judge.score(
            batch, config=config, rubric="The sum.", template="{{ rubric }}", judge=models.judge(config)
        )
        assert found.value == pytest.approx(0.9)
        assert [path for path, _, _ in server.seen].count("/v1/models") == 1
    assert started == []


def test_a_judge_that_is_not_there_is_an_error_that_names_it(folder: Path) -> None:
    with running() as gone:
        url = gone.url
    with pytest.raises(EngineError, match="ConnectError") as caught:
        _models(folder).judge(_judge(server=ServerConfig(url=url, model="m", attempts=1)))
    assert url in str(caught.value)


def test_a_reward_model_scores(folder: Path) -> None:
    config = RewardModelConfig(name="rm", kind="reward_model", model="models/reward")
    models = _models(folder)
    assert models.reward_model(config) is models.reward_model(config)
    batch = [Candidate("q", "2 + 2?", text) for text in ("4", "five", "\ud800", "4 " * 200)]
    *short, long = reward_model.score(batch, ask=models.reward_model(config))
    assert all(one.value is not None and 0.0 < one.value < 1.0 for one in short)
    assert long.reason == "too long for the reward model"


def test_texts_are_embedded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models, config = _models(folder), EmbeddingConfig(model="models/encoder")
    embed = models.embed(config)
    monkeypatch.setattr(embedder, "Embedder", lambda *_, **__: pytest.fail("loaded again"))
    assert models.embed(config) is embed
    assert math.hypot(*embed(["a text"])[0]) == pytest.approx(1.0)


@pytest.mark.parametrize(
    "ask",
    [
        lambda models: models.judge(_judge(model="models/none")),
        lambda models: models.reward_model(RewardModelConfig(name="rm", kind="reward_model", model="models/none")),
        lambda models: models.embed(EmbeddingConfig(model="models/none")),
    ],
)
def test_a_missing_folder_is_named(folder: Path, ask: Callable[[ScoringModels], Any]) -> None:
    with pytest.raises(ConfigError, match=r"a scorer's model is missing \[.*models/none\]"):
        ask(_models(folder))


def test_a_folder_that_is_no_model_is_no_judge(folder: Path) -> None:
    with pytest.raises(ModelError, match="not a model folder"):
        _models(folder).judge(_judge(model="models"))


def test_what_a_model_is_given_is_a_conversation(folder: Path) -> None:
    config = RewardModelConfig(name="rm", kind="reward_model", model="models/reward")
    asked = [[Message(role="user", content="a"), Message(role="assistant", content="b")]]
    [number] = _models(folder).reward_model(config)(asked)
    assert isinstance(number, float)
