"""How a task's queries are explored: one entry per strategy."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from tao_ops.config.base import Share, Strict


class StrategyKind(StrEnum):
    """The ways to explore that there are."""

    PLAIN = "plain"
    """The production prompt itself."""
    DEMONSTRATIONS = "demonstrations"
    """Worked examples as chat turns before the query."""
    CHAIN_OF_THOUGHT = "chain_of_thought"
    """Reason first, answer last."""
    PLAN = "plan"
    """Plan, carry the plan out, answer last."""
    CRITIQUE_REVISE = "critique_revise"
    """Draft, criticise, revise."""
    DECOMPOSE = "decompose"
    """Split into questions, answer them, answer last."""
    STRUCTURED = "structured"
    """The production prompt; only tokens that keep to the task's schema or grammar are sampled."""
    REPHRASE = "rephrase"
    """The query in other words, then the production prompt on these."""
    TEMPLATE = "template"
    """A template of your own in the place of the production prompt."""


TEMPLATES: Mapping[StrategyKind, Mapping[str, str | None]] = {
    StrategyKind.CHAIN_OF_THOUGHT: {"ask": "prompts/strategies/chain_of_thought.txt"},
    StrategyKind.PLAN: {"ask": "prompts/strategies/plan.txt"},
    StrategyKind.CRITIQUE_REVISE: {
        "critique": "prompts/strategies/critique.txt",
        "revise": "prompts/strategies/revise.txt",
    },
    StrategyKind.DECOMPOSE: {"parts": "prompts/strategies/decompose.txt", "ask": "prompts/strategies/solve.txt"},
    StrategyKind.REPHRASE: {"rephrase": "prompts/strategies/rephrase.txt"},
    StrategyKind.TEMPLATE: {"ask": None},
}
"""The templates of a kind and their default files below ``include/``; None has to be given."""

_ANSWER_LAST = (StrategyKind.CHAIN_OF_THOUGHT, StrategyKind.PLAN, StrategyKind.DECOMPOSE)
_KINDS = ", ".join(kind.value for kind in StrategyKind)

Temperature = Annotated[float, Field(ge=0.0, le=5.0)]
Ladder = Annotated[tuple[Temperature, ...], BeforeValidator(lambda v: v if isinstance(v, (list, tuple)) else (v,))]
"""Temperatures in YAML: one number, or a list of them."""

ORDERS = 6
"""Orders of the examples that a query's samples are spread over: the order sways a small model (arXiv 2104.08786).

All queries share them, so the engine computes each order's prefix once.
"""

REASONING_TOKENS = 256
"""Tokens that a response which reasons before it answers may take beyond the task's ``max_tokens``."""


class BootstrapConfig(Strict):
    """Worked examples out of earlier turns' own responses (STaR, arXiv 2203.14465; DSPy, arXiv 2310.03714)."""

    examples: int = Field(default=4, ge=1, le=64)
    """How many stand before a query."""
    min_reward: Share = 0.9
    """A response below this is no example."""


class StrategyConfig(Strict):
    """One way to explore."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")
    kind: StrategyKind
    """Where it isn't given: the kind of that name, else ``template`` where a template is given."""
    samples: int = Field(ge=1, le=1024)
    """Samples of each query: the most of them under ``policy: adaptive``, all of them under ``uniform``."""
    temperature: Ladder = Field(default=(0.8,), min_length=1)
    """One for all samples, or a ladder that they are spread over."""
    top_p: float = Field(default=0.95, gt=0.0, le=1.0)
    max_tokens: int | None = Field(default=None, ge=1, le=32768)
    """Longest response of each of its calls, in tokens; else the task's, and more of it where reasons come first."""
    file: str | None = None
    """Worked examples, JSON lines of ``messages`` (``demonstrations``)."""
    bootstrap: BootstrapConfig | None = None
    """Worked examples out of earlier turns (``demonstrations``), beside those of ``file``."""
    templates: dict[str, str] = Field(default_factory=dict)
    """Files below ``include/`` in the place of the kind's own templates, by step."""
    answer_after: str | None = None
    """Only what follows the last of these words is the answer; none of them: no answer."""

    @model_validator(mode="before")
    @classmethod
    def _kind_by_name(cls, raw: Any) -> Any:
        if not isinstance(raw, dict) or raw.get("kind") is not None or not isinstance(raw.get("name"), str):
            return raw
        name = raw["name"]
        if name in {kind.value for kind in StrategyKind}:
            return {**raw, "kind": name}
        if raw.get("templates"):
            return {**raw, "kind": StrategyKind.TEMPLATE}
        raise ValueError(f"unknown strategy {name!r}: name one of {_KINDS}, or say its 'kind', or its 'templates.ask'")

    @model_validator(mode="after")
    def _needs(self) -> Self:
        demonstrations = self.kind is StrategyKind.DEMONSTRATIONS
        if demonstrations and self.file is None and self.bootstrap is None:
            raise ValueError("'demonstrations' needs a 'file' of worked examples, or 'bootstrap'")
        if not demonstrations and (self.file is not None or self.bootstrap is not None):
            raise ValueError(f"'{self.kind}' takes no worked examples: 'file' and 'bootstrap' are for 'demonstrations'")
        greedy, most = 0.0 in self.temperature, ORDERS if demonstrations else 1
        if greedy and (len(self.temperature) > 1 or self.samples > most):
            raise ValueError(
                f"'temperature: 0' gives the same response each time: alone, with 'samples' at most {most}"
            )
        steps = TEMPLATES.get(self.kind, {})
        if unknown := sorted(set(self.templates) - set(steps)):
            known = f"it has {', '.join(steps)}" if steps else "it has none"
            raise ValueError(f"'{self.kind}' has no template {unknown[0]!r}: {known}")
        if missing := [step for step, default in steps.items() if default is None and step not in self.templates]:
            raise ValueError(f"'{self.kind}' needs 'templates.{missing[0]}', a file")
        return self

    def longest(self, task_tokens: int) -> int:
        """Longest response of each of its calls, in tokens, where the task's answers have at most ``task_tokens``."""
        return self.max_tokens or task_tokens + (REASONING_TOKENS if self.kind in _ANSWER_LAST else 0)

    @property
    def marker(self) -> str | None:
        """The words that the answer follows; None where the whole response is the answer."""
        return self.answer_after or ("Answer:" if self.kind in _ANSWER_LAST else None)

    @property
    def template_files(self) -> dict[str, str]:
        """Every template that it needs, by step: its file below ``include/``."""
        steps = TEMPLATES.get(self.kind, {})
        return {step: self.templates.get(step) or str(default) for step, default in steps.items()}
