"""The one engine of a process, whose weights are swapped where another model is to answer."""

from collections.abc import Callable
from dataclasses import dataclass, field

from tao_ops.backends import Engine
from tao_ops.records import ModelRef


@dataclass
class OneEngine:
    """Started with the first model that is asked for.

    Attributes:
        start: starts it with a model.
    """

    start: Callable[[ModelRef], Engine]
    _engine: Engine | None = field(default=None, init=False)
    _loaded: str = field(default="", init=False)

    def of(self, model: ModelRef) -> Engine:
        """The engine with the weights of ``model``."""
        if self._engine is not None and self._loaded == model.model_version:
            return self._engine
        return self.afresh(model)

    def afresh(self, model: ModelRef) -> Engine:
        """The same, and what it has cached of earlier questions is gone."""
        if self._engine is None:
            self._engine = self.start(model)
        else:
            self._engine.reload(model)
        self._loaded = model.model_version
        return self._engine
