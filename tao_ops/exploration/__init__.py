"""Where a turn's samples go: which queries get more, by which strategies, within the budget."""

from tao_ops.config import GenerateConfig
from tao_ops.config import Policy as PolicyName
from tao_ops.exploration.budget import Budget
from tao_ops.exploration.explorer import Explored, Found, Rule, explore, explored
from tao_ops.exploration.policy import Adaptive, Policy, Uniform
from tao_ops.exploration.sampler import Response, Sample, Wanted, Way, sample
from tao_ops.exploration.yields import Yield, Yields, earlier, merged, sentences, told

__all__ = [
    "Budget",
    "Explored",
    "Found",
    "Policy",
    "Response",
    "Rule",
    "Sample",
    "Wanted",
    "Way",
    "Yield",
    "Yields",
    "chosen_policy",
    "earlier",
    "explore",
    "explored",
    "merged",
    "sample",
    "sentences",
    "told",
]


def chosen_policy(config: GenerateConfig, prior: Yields, seed: int) -> Policy:
    """Who is asked next, as the YAML says."""
    return Adaptive(config, prior, seed) if config.policy is PolicyName.ADAPTIVE else Uniform()
