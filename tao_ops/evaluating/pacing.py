"""Speed: every night champion and candidate sample as many tokens for the same items, in turn, against the clock.

A machine that does other things as well makes a round slower, never faster: the least of alternating rounds is told,
and while the candidate seems slower than it may be, both get further rounds. Nothing that is sampled here is kept.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tao_ops.evaluating.exams import CANDIDATE, CHAMPION, Exam
from tao_ops.evaluating.one_engine import OneEngine
from tao_ops.records import Message, Progress, Sampling

FEWEST, MOST = 2, 8
"""Rounds of each model: so many on every night, and at most where the candidate seems too slow."""
ALIKE = 0.8
"""No pace is told where one model sampled less than this share of the other's tokens: reading the questions costs both
the same, and would be spread over fewer tokens."""
UNKNOWN: Mapping[str, float | None] = {CHAMPION: None, CANDIDATE: None}


@dataclass(frozen=True)
class Course:
    """What both models are timed on: the same items, and of each as many tokens as both have to say.

    Attributes:
        champion, candidate: the exams that the items are of.
        conversations: of the items that were drawn.
        tokens: how many of each are sampled, the shorter of the two models' answers.
    """

    champion: Exam
    candidate: Exam
    conversations: Sequence[Sequence[Message]]
    tokens: Sequence[int]


def course(exams: Sequence[Exam], rows: Sequence[Mapping[str, Any]], *, most: int) -> Course | None:
    """At most ``most`` items of the primary benchmark, evenly over it; of another one where the harness asks that.

    Args:
        rows: of the table ``evaluations``, of all exams.

    Returns:
        None where no benchmark has items that both models have answered.
    """
    for champion in sorted(exams, key=lambda exam: not exam.benchmark.primary):
        if champion.arm != CHAMPION or champion.by_harness:
            continue
        name = champion.benchmark.name
        candidate = next(one for one in exams if (one.arm, one.benchmark.name) == (CANDIDATE, name))
        said = [_tokens(rows, name, arm) for arm in (CHAMPION, CANDIDATE)]
        both = [min(arm.get(item.item_id, 0) for arm in said) for item in champion.items.items]
        known = [number for number, tokens in enumerate(both) if tokens]
        drawn = [known[i * len(known) // most] for i in range(most)] if len(known) > most else known
        if drawn:
            asked = [champion.conversations[number] for number in drawn]
            return Course(champion, candidate, asked, [both[number] for number in drawn])
    return None


def seconds_a_token(
    engine: OneEngine, on: Course, *, slower: float, say: Progress, clock: Callable[[], float] = time.monotonic
) -> dict[str, float | None]:
    """Of champion and candidate, the least of their rounds; None for both where they sampled too differently.

    Each round begins with nothing cached, and every other pair of them with the candidate.

    Args:
        slower: what the gate allows, as a multiple of the champion's: further rounds are for a candidate beyond it.

    Raises:
        EngineError: the engine failed.
    """
    found: dict[str, list[tuple[float, int]]] = {CHAMPION: [], CANDIDATE: []}
    exams = {CHAMPION: on.champion, CANDIDATE: on.candidate}
    while len(found[CHAMPION]) < MOST:
        first_last = list(found) if len(found[CHAMPION]) % 2 == 0 else list(reversed(found))
        for arm in first_last:
            found[arm].append(_round(engine, exams[arm], on, clock))
        told = {arm: min(seconds / max(1, tokens) for seconds, tokens in rounds) for arm, rounds in found.items()}
        if len(found[CHAMPION]) >= FEWEST and told[CANDIDATE] <= slower * told[CHAMPION]:
            break
    champion, candidate = (sum(tokens for _, tokens in rounds) for rounds in found.values())
    if min(champion, candidate) < ALIKE * max(champion, candidate):
        say(f"speed: not told, since the champion sampled {champion:,} tokens and the candidate {candidate:,}")
        return dict(UNKNOWN)
    old, new = (1000 * told[arm] for arm in (CHAMPION, CANDIDATE))
    say(
        f"speed: {old:.3g} ms a token by the champion, {new:.3g} by the candidate: the least of "
        f"{len(found[CHAMPION])} rounds of each over {len(on.tokens)} items of {on.champion.benchmark.name}"
    )
    return {**told}


def _round(engine: OneEngine, exam: Exam, on: Course, clock: Callable[[], float]) -> tuple[float, int]:
    """Seconds, and tokens that were sampled."""
    asked = engine.afresh(exam.model)
    sampling = [Sampling(max_tokens=tokens) for tokens in on.tokens]
    started = clock()
    answers = asked.generate(on.conversations, sampling)
    return clock() - started, sum(one.tokens for completions in answers for one in completions)


def _tokens(rows: Sequence[Mapping[str, Any]], benchmark: str, arm: str) -> dict[str, int]:
    mine = [row for row in rows if (row["benchmark"], row["arm"]) == (benchmark, arm)]
    return {row["item_id"]: row["tokens"] for row in mine if row.get("tokens")}
