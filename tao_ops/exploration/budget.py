"""What may still be spent."""

from dataclasses import dataclass

from tao_ops.config import BudgetConfig


@dataclass
class Budget:
    """Samples and tokens that are left; None is without bound.

    A call is allowed only where its longest possible response fits, so that what is spent never exceeds the budget.
    """

    samples: int | None = None
    tokens: int | None = None

    @classmethod
    def share(cls, config: BudgetConfig | None, mine: int, of: int) -> "Budget":
        """A shard's part of the turn's budget, by its share of the prompts, rounded down.

        >>> Budget.share(BudgetConfig(tokens=100), mine=1, of=3)
        Budget(samples=None, tokens=33)
        """
        if config is None or not of:
            return cls()
        return cls(*(None if whole is None else whole * mine // of for whole in (config.samples, config.tokens)))

    def take(self, tokens: int) -> bool:
        """Set aside one sample of at most ``tokens`` tokens; False where it does not fit."""
        if (self.samples is not None and self.samples < 1) or (self.tokens is not None and self.tokens < tokens):
            return False
        self._add(-1, -tokens)
        return True

    def give_back(self, tokens: int, samples: int = 0) -> None:
        """What was set aside and not spent."""
        self._add(samples, tokens)

    def _add(self, samples: int, tokens: int) -> None:
        if self.samples is not None:
            self.samples += samples
        if self.tokens is not None:
            self.tokens += tokens
