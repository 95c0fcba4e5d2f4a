"""The models that scorers ask, each loaded when it is first wanted, and once."""

from collections.abc import Callable, Sequence
from pathlib import Path

from tao_ops.backends.judges import Judge, ServerJudge
from tao_ops.config import EmbeddingConfig, EngineConfig, JudgeConfig, RewardModelConfig
from tao_ops.errors import ConfigError
from tao_ops.models import model_ref
from tao_ops.records import Message, ModelRef, Progress


class ScoringModels:
    """What ``tao_ops.rewards.base.Models`` promises, by the engines of this package.

    A local judge takes an engine of its own, which lives until the process ends: scorers that name the same model
    share it.
    """

    def __init__(
        self,
        *,
        include: Path,
        cache: Path,
        champion: Callable[[], ModelRef],
        engine: EngineConfig,
        seed: int,
        say: Progress = print,
    ) -> None:
        """Nothing is loaded yet.

        Args:
            include: what the folders of models are below, where they aren't absolute.
            cache: where the embedded model is prepared.
            champion: finds today's champion; called once, where a judge wants it.
            engine: how local models are run.
        """
        self._include, self._cache, self._champion = include, cache, champion
        self._engine, self._seed, self._say = engine, seed, say
        self._judges: dict[str, Judge] = {}
        self._reward_models: dict[tuple[Path, str], Callable[[Sequence[Sequence[Message]]], list[float | str]]] = {}
        self._embedders: dict[Path, Callable[[Sequence[str]], list[list[float]]]] = {}

    def judge(self, config: JudgeConfig) -> Judge:
        """The judge of a scorer: its server, or its local model on vLLM.

        Raises:
            ConfigError: the server does not serve the model, or refuses the key; there is no such folder.
            ModelError: the folder is no model, or its context is shorter than ``engine.context``.
            EngineError: the server does not answer, or vLLM could not start.
        """
        if config.server is not None:
            key = config.server.model_dump_json()
            if key not in self._judges:
                self._judges[key] = ServerJudge(config.server, say=self._say)
            return self._judges[key]
        model = self._local(config.model)
        if model.path not in self._judges:
            from tao_ops.backends.vllm_engine import VllmEngine

            self._judges[model.path] = VllmEngine(model, seed=self._seed, config=self._engine, say=self._say)
        return self._judges[model.path]

    def reward_model(self, config: RewardModelConfig) -> Callable[[Sequence[Sequence[Message]]], list[float | str]]:
        """A model that gives whole conversations one number each.

        Raises:
            ConfigError: there is no such folder.
            ModelError: it holds no sequence classification with one label.
            EngineError: vLLM could not start.
        """
        from tao_ops.backends.reward_models import load_reward_model

        key = self._folder(config.model), config.engine
        if key not in self._reward_models:
            self._reward_models[key] = load_reward_model(
                config, key[0], engine=self._engine, seed=self._seed, say=self._say
            )
        return self._reward_models[key]

    def embed(self, config: EmbeddingConfig) -> Callable[[Sequence[str]], list[list[float]]]:
        """A model that gives texts unit vectors.

        Raises:
            ConfigError: there is no such folder.
            ModelError: it holds no encoder.
        """
        from tao_ops.backends.embedder import Embedder

        folder = self._folder(config.model)
        if folder not in self._embedders:
            self._embedders[folder] = Embedder(folder, say=self._say)
        return self._embedders[folder]

    def _local(self, name: str) -> ModelRef:
        if name == "champion":
            return self._champion()
        if name == "embedded":
            from tao_ops.backends import embedded_model

            return model_ref(embedded_model.prepare(self._cache, self._say))
        return model_ref(self._folder(name))

    def _folder(self, name: str) -> Path:
        folder = (self._include / Path(name).expanduser()).resolve()
        if not folder.is_dir():
            raise ConfigError("a scorer's model is missing", where=folder, mend="make the folder, or mend 'model'")
        return folder
