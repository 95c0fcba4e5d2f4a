"""Pools of eight responses to a question, some of them right, and how well a reward parts them."""

import itertools
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tao_ops.config import ConsensusConfig
from tao_ops.records import Candidate
from tao_ops.rewards import consensus, sql, sql_execution
from tao_ops.rewards.combine import UNKNOWN
from tao_ops.rewards.sql import NoResult, Result, same
from trials.sql_rewards import mutations
from trials.sql_rewards.authors import asks_for_order
from trials.sql_rewards.questions import DATA, LIMITS, Question, open_database, schema_of

MODEL = "the model's own"
"""The kind of wrong responses that the embedded model gave, most of which do not run."""
SIZE = 8
COMPOSITIONS = (0, 1, 2, 4)
RIGHT = "right"
_DRAWS = 2000
_MOST_OF_A_KIND = 8
_MOST_TRIED = 60


@dataclass(frozen=True)
class Supply:
    """What pools of a question are drawn from: right texts, and wrong ones by their kind."""

    question: Question
    right: Sequence[str]
    wrong: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Pool:
    """Eight responses: the kind of each (:data:`RIGHT` or of a mistake), its text, its reward."""

    question: int
    kinds: tuple[str, ...]
    texts: tuple[str, ...]
    rewards: tuple[float, ...] = ()


def supply(question: Question, rng: random.Random) -> Supply:
    """One accepted query and rewritings of it; and mistakes, wrong by the widest rule, that run.

    The widest rule drops repeated rows, takes further columns, and asks for an order only where the question does.
    """
    gold = rng.choice(question.golds)
    kinds = mutations.wrong(gold, schema_of(open_database(question)))
    wrong = {}
    for kind, texts in kinds.items():
        tried = rng.sample(texts, min(_MOST_TRIED, len(texts)))
        wrong[kind] = list(itertools.islice(_wrong(question, tried, runs=True), _MOST_OF_A_KIND))
    return Supply(question, [gold, *mutations.equal(gold, rng)], wrong)


def supply_of_model(question: Question, sampled: Sequence[str], right: Sequence[str]) -> Supply:
    """The same right texts, and the model's responses that are wrong, whether they run or not."""
    return Supply(question, right, {MODEL: list(_wrong(question, list(dict.fromkeys(sampled)), runs=False))})


def _wrong(question: Question, texts: Sequence[str], *, runs: bool) -> Iterator[str]:
    known = [one for text in question.golds if isinstance(one := _run(question, text), Result)]
    asked = asks_for_order(question.category, question.text)

    for text in texts:
        found = _run(question, text)
        if isinstance(found, NoResult):
            if not runs:
                yield text
        elif not any(same(one, found, extra_columns=True, repeats=False, order=asked) for one in known):
            yield text


def _run(question: Question, text: str) -> Result | NoResult:
    return sql.result(question.candidate(text), sql=LIMITS, folder=DATA)


def draw(supply: Supply, right: int, rng: random.Random) -> Pool | None:
    """A pool with so many right ones; each wrong one of a kind that is drawn first, so that all kinds come alike.

    None where there are too few texts.
    """
    left = {kind: list(texts) for kind, texts in supply.wrong.items() if texts}
    if len(supply.right) < right or sum(map(len, left.values())) < SIZE - right:
        return None
    chosen = [(RIGHT, text) for text in rng.sample(list(supply.right), right)]
    while len(chosen) < SIZE:
        kind = rng.choice(sorted(left))
        chosen.append((kind, left[kind].pop(rng.randrange(len(left[kind])))))
        if not left[kind]:
            del left[kind]
    rng.shuffle(chosen)
    kinds, texts = zip(*chosen, strict=True)
    return Pool(supply.question.number, kinds, texts)


def rewarded(pools: Sequence[Pool], questions: Mapping[int, Question]) -> list[Pool]:
    """The pools with each response's reward: whether it runs, times how many of the pool agree with its result.

    Where agreement is undecided, as of one that alone has a result, it counts as everywhere: :data:`UNKNOWN`.
    """
    batch: list[Candidate] = [
        questions[pool.question].candidate(text, pool=f"{i}") for i, pool in enumerate(pools) for text in pool.texts
    ]
    runs = [one.value or 0.0 for one in sql_execution.score(batch, sql=LIMITS, folder=DATA)]
    keys = sql.result_keys(batch, sql=LIMITS, folder=DATA)
    config = ConsensusConfig(kind="consensus", name="consensus", answer="sql", sql=LIMITS)
    answers = [None if key is None else {"": key} for key in keys]
    scores = consensus.score(batch, config=config, answers=answers, trust=runs)
    agree = [UNKNOWN if one.value is None else one.value for one in scores]
    rewards = [a * b for a, b in zip(runs, agree, strict=True)]
    return [
        Pool(pool.question, pool.kinds, pool.texts, tuple(rewards[i * SIZE : (i + 1) * SIZE]))
        for i, pool in enumerate(pools)
    ]


def auroc(pools: Sequence[Pool], rng: np.random.Generator) -> dict[str, dict[str, float]]:
    """How often a right response has a higher reward than a wrong one of its pool, ties half, by the wrong one's kind.

    Under ``all`` stands the mean over the kinds, each weighing the same. With a 95 % interval from resampling
    questions, the number of pairs, of wrong responses and of questions.
    """
    wins: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(lambda: [0.0, 0.0, 0.0]))
    for pool in pools:
        right = [r for kind, r in zip(pool.kinds, pool.rewards, strict=True) if kind == RIGHT]
        for kind, reward in zip(pool.kinds, pool.rewards, strict=True):
            if kind != RIGHT:
                cell = wins[kind][pool.question]
                cell[0] += sum((r > reward) + 0.5 * (r == reward) for r in right)
                cell[1] += len(right)
                cell[2] += 1
    numbers = sorted({pool.question for pool in pools})
    # kinds × questions × (wins, pairs)
    table = np.array([[wins[kind].get(n, [0.0, 0.0, 0.0])[:2] for n in numbers] for kind in sorted(wins)])
    drawn = rng.multinomial(len(numbers), [1 / len(numbers)] * len(numbers), size=_DRAWS)
    sums = np.einsum("dq,kqw->dkw", drawn, table)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = sums[..., 0] / sums[..., 1]
    told = {}
    for i, kind in enumerate(sorted(wins)):
        value = table[i, :, 0].sum() / table[i, :, 1].sum()
        wrong = sum(cell[2] for cell in wins[kind].values())
        told[kind] = _told(value, shares[:, i], table[i, :, 1].sum(), wrong, len(wins[kind]))
    mean = float(np.mean([one["auroc"] for one in told.values()]))
    pairs, wrong = sum(one["pairs"] for one in told.values()), sum(one["wrong"] for one in told.values())
    told["all"] = _told(mean, np.nanmean(shares, axis=1), pairs, wrong, len(numbers))
    return told


def _told(
    value: float, drawn: "np.ndarray[tuple[int], np.dtype[np.float64]]", pairs: float, wrong: float, n: int
) -> dict[str, float]:
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return {
        "auroc": round(float(value), 4),
        "low": round(float(low), 4),
        "high": round(float(high), 4),
        "pairs": int(pairs),
        "wrong": int(wrong),
        "questions": n,
    }


def picks(pools: Sequence[Pool]) -> dict[str, float]:
    """What the best of eight is: how often a right one, ties shared; and how far wrong ones agree with each other."""
    hits, tops, backed = [], [], []
    for pool in pools:
        top = max(pool.rewards)
        best = [kind == RIGHT for kind, reward in zip(pool.kinds, pool.rewards, strict=True) if reward == top]
        hits.append(sum(best) / len(best))
        wrong = [r for kind, r in zip(pool.kinds, pool.rewards, strict=True) if kind != RIGHT]
        tops.append(max(wrong))
        backed.append(float(np.mean([r > 0 for r in wrong])))
    return {
        "pools": len(pools),
        "best_is_right": round(float(np.mean(hits)), 4),
        "best_wrong_reward": round(float(np.mean(tops)), 4),
        "wrong_with_any_reward": round(float(np.mean(backed)), 4),
    }
