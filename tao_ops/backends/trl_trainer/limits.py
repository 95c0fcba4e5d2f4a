"""Where training must stop, and which of its checkpoints is kept."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from tao_ops.config import LimitsConfig


@dataclass(frozen=True)
class Measured:
    """The model in training on the holdout, after ``step`` updates, answering greedily.

    Attributes:
        reward: mean in [0, 1]; None where no scorer could judge an answer.
        kl: mean divergence from the champion, nats per token, over the whole vocabulary along its own answers.
        entropy: mean entropy of the next token, nats.
        length: mean tokens of an answer.
        n: queries.
        rewards: of each query's answer; None where no scorer could judge it.
    """

    step: int
    reward: float | None
    kl: float
    entropy: float
    length: float
    n: int
    rewards: tuple[float | None, ...] = ()

    def as_dict(self) -> dict[str, float | None]:
        """Plain values."""
        return asdict(self)

    def sentence(self) -> str:
        """As the log says it."""
        reward = "no reward" if self.reward is None else f"reward {self.reward:.3f}"
        return (
            f"holdout ({self.n} queries) after step {self.step}: {reward}, divergence {self.kl:.3f} nats, "
            f"entropy {self.entropy:.3f} nats, {self.length:.1f} tokens"
        )


def crossed(limits: LimitsConfig, start: Measured, now: Measured, *, trained_length: float) -> str | None:
    """Why training must stop; None where it may go on.

    Args:
        start: the model before its first update.
        trained_length: mean tokens of the responses that are trained on.
    """
    longest = max(start.length, trained_length)
    if not (math.isfinite(now.kl) and math.isfinite(now.entropy)):
        return f"the divergence, {now.kl}, or the entropy, {now.entropy}, is no number"
    if limits.kl is not None and now.kl > limits.kl:
        return f"the divergence from the champion, {now.kl:.3f} nats per token, is above update.watch.limits.kl"
    if limits.entropy is not None and now.entropy < limits.entropy:
        return f"the entropy, {now.entropy:.5f} nats, is below update.watch.limits.entropy"
    if limits.length is not None and now.length > limits.length * longest:
        return f"answers of {now.length:.1f} tokens are over update.watch.limits.length times {longest:.1f}"
    if limits.reward is None or start.reward is None or now.reward is None:
        return None
    if now.reward < start.reward - limits.reward:
        return f"the reward fell from {start.reward:.3f} to {now.reward:.3f}, update.watch.limits.reward allows less"
    return None


def best(history: Sequence[Measured]) -> Measured:
    """The latest checkpoint whose reward is within one standard error of the highest.

    A holdout of some dozen queries is too small to prefer an earlier checkpoint for a little more reward (the rule of
    one standard error: Breiman, Friedman, Olshen, Stone, Classification and Regression Trees, 1984, 3.4.3); the error
    is that of the mean of the queries' differences. Without rewards, the latest of all.
    """
    highest = max(history, key=lambda one: (-1.0 if one.reward is None else one.reward, one.step))
    return max((one for one in history if _within(highest, one)), key=lambda one: one.step)


def _within(highest: Measured, one: Measured) -> bool:
    if highest.reward is None:
        return True
    pairs = zip(highest.rewards, one.rewards, strict=True)
    differences = [a - b for a, b in pairs if a is not None and b is not None]
    if len(differences) < 2:
        return one is highest
    mean, n = sum(differences) / len(differences), len(differences)
    variance = sum((difference - mean) ** 2 for difference in differences) / (n - 1)
    return mean <= math.sqrt(variance / n)
