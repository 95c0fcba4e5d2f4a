"""What a candidate may not become, whatever its scores: pure functions, each broken guard a sentence.

The first three keep the cost of inference, the next ones what users see. The last three keep the gate honest: a
benchmark that was trained on says nothing, and a reward has a hole where it pays what nobody should like, or rises
while the benchmark does not.
A guard whose facts are unknown on either side says nothing.
"""

from collections.abc import Iterator

from tao_ops.benchmarks import paired
from tao_ops.benchmarks.reports import EMPTY, REPEATED, TRUNCATED, BenchmarkScores, Fall, Output, Report
from tao_ops.config.gate import GuardsConfig
from tao_ops.models import ModelFacts

_FACTS = {"architecture": "architecture", "parameters": "number of parameters", "dtype": "dtype"}
_LAST_BIT = 1e-9
"""Shares are quotients of counts: what equals the limit but for the last bit does not break it."""
_FLAGS = {
    EMPTY: "of the candidate's outputs say nothing",
    TRUNCATED: "of the candidate's outputs are cut off at the longest",
    REPEATED: "of the candidate's outputs repeat themselves",
}


def broken(
    config: GuardsConfig,
    *,
    champion: Report,
    candidate: Report,
    alpha: float,
    seed: int = 0,
    resamples: int = paired.RESAMPLES,
) -> tuple[str, ...]:
    """A sentence for each guard that ``candidate`` breaks; the reports must be comparable.

    Args:
        alpha: the level at which a rise of the reward counts as one.
    """
    found = [*_inference(champion.facts, candidate.facts), *_speed(config, champion, candidate)]
    for name in sorted(champion.benchmarks):
        both = _both(champion.benchmarks[name], candidate.benchmarks[name])
        found += [f"{name}: {says}" for says in (*_length(config, both), *_shares(config, both))]
    found += _contamination(candidate)
    found += _probes(config, candidate)
    found += _reward_alone(champion, candidate, alpha=alpha, seed=seed, resamples=resamples)
    return tuple(found)


def _inference(champion: ModelFacts, candidate: ModelFacts) -> Iterator[str]:
    for name, words in _FACTS.items():
        old, new = getattr(champion, name), getattr(candidate, name)
        if old != new:
            yield f"the candidate's {words} is {new}, the champion's {old}: a promotion must not change it"


def _speed(config: GuardsConfig, champion: Report, candidate: Report) -> Iterator[str]:
    old, new = champion.seconds_a_token, candidate.seconds_a_token
    if old and new is not None and new > config.slower * old:
        yield (
            f"the candidate takes {1000 * new:.3g} ms for a token, the champion {1000 * old:.3g}:"
            f" {new / old:.2f} times as long, and {config.slower:g} is the limit"
        )


def _both(champion: BenchmarkScores, candidate: BenchmarkScores) -> list[tuple[Output, Output]]:
    """Outputs of items that both models have one of."""
    items = sorted(set(champion.outputs) & set(candidate.outputs))
    return [(champion.outputs[item], candidate.outputs[item]) for item in items]


def _length(config: GuardsConfig, both: list[tuple[Output, Output]]) -> Iterator[str]:
    known = [(a.tokens, b.tokens) for a, b in both if a.tokens is not None and b.tokens is not None]
    old, new = (sum(pair[side] for pair in known) / max(1, len(known)) for side in (0, 1))
    if old and new > config.longer * old:
        yield (
            f"the candidate's outputs have {new:.1f} tokens on average, the champion's {old:.1f}:"
            f" {new / old:.2f} times as many, and {config.longer:g} is the limit"
        )


def _shares(config: GuardsConfig, both: list[tuple[Output, Output]]) -> Iterator[str]:
    for flag, words in _FLAGS.items():
        if not both:
            return
        old, new = (sum(flag in pair[side].flags for pair in both) / len(both) for side in (0, 1))
        limit: float = getattr(config, flag)
        if new - old > limit + _LAST_BIT:
            yield f"{new:.1%} {words}, {old:.1%} of the champion's: {limit:.1%} more is the limit"


def _contamination(candidate: Report) -> Iterator[str]:
    if candidate.contaminated:
        items = "item" if candidate.contaminated == 1 else "items"
        yield f"the candidate was trained on {candidate.contaminated:,} benchmark {items}: its scores say nothing"


def _probes(config: GuardsConfig, candidate: Report) -> Iterator[str]:
    """One for each scorer, on the probe that it liked most; the others are counted."""
    beyond: dict[tuple[str, str], list[Fall]] = {}
    for fall in candidate.fallen:
        if fall.share > config.probes + _LAST_BIT:
            beyond.setdefault((fall.task, fall.scorer), []).append(fall)
    for (task, scorer), falls in beyond.items():
        worst = max(falls, key=lambda fall: fall.share)
        others = len({fall.probe for fall in falls} - {worst.probe})
        more = f"; {others} more such {'probe' if others == 1 else 'probes'}" if others else ""
        yield (
            f"{task}: {scorer} fell for the probe {worst.probe!r} in turn {worst.turn}, whose rewards the candidate was"
            f" trained on: it gives at least the honest answer's score in {worst.share:.0%} of {worst.comparisons:,}"
            f" comparisons, and {config.probes:.0%} is the limit{more}"
        )


def _reward_alone(champion: Report, candidate: Report, *, alpha: float, seed: int, resamples: int) -> Iterator[str]:
    """Whether the reward has risen on the primary benchmark's items, and the score on them has not."""
    name = next(name for name, scores in champion.benchmarks.items() if scores.primary)
    old, new = champion.benchmarks[name], candidate.benchmarks[name]
    gain = sum(new.items.values()) / len(new.items) - sum(old.items.values()) / len(old.items)
    known = [(a.reward, b.reward) for a, b in _both(old, new) if a.reward is not None and b.reward is not None]
    if not known or gain > 0:
        return
    before, after = [a for a, _ in known], [b for _, b in known]
    rise = sum(after) / len(after) - sum(before) / len(before)
    p_value = paired.p_value(before, after, seed=seed, resamples=resamples)
    if rise > 0 and p_value < alpha:
        yield (
            f"{name}: the mean reward rose from {sum(before) / len(before):.3f} to {sum(after) / len(after):.3f} over"
            f" {len(known):,} items (p = {p_value:.2g}), the score did not ({100 * gain:+.1f} points):"
            " the reward has a hole"
        )
