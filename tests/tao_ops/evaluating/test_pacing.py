"""Both models are timed every night, on the same items and tokens, and a busy machine rejects nobody."""

import random
from collections.abc import Sequence
from typing import Any

import pytest

from tao_ops.benchmarks.item_sets import Item, ItemSet
from tao_ops.config import BenchmarkConfig
from tao_ops.evaluating import pacing
from tao_ops.evaluating.exams import CANDIDATE, CHAMPION, Exam
from tao_ops.evaluating.one_engine import OneEngine
from tao_ops.records import Completion, ModelRef, Sampling

MODELS = {arm: ModelRef(arm, arm) for arm in (CHAMPION, CANDIDATE)}


class Machine:
    """An engine and the clock: a token takes a millisecond times what ``slow`` says of the model and the machine."""

    name, max_model_len = "fake", 2048

    def __init__(self, slow: Any = lambda model: 1.0, curt: str = "") -> None:
        self.slow, self.curt, self.now = slow, curt, 0.0
        self.rounds: list[str] = []
        self.asked: list[list[tuple[str, int]]] = []

    def start(self, model: ModelRef) -> "Machine":
        self.reload(model)
        return self

    def reload(self, model: ModelRef) -> None:
        self.rounds.append(model.model_version)

    def generate(self, conversations: Sequence[Any], sampling: Any) -> list[list[Completion]]:
        self.asked.append(
            [(asked[0]["content"], how.max_tokens) for asked, how in zip(conversations, sampling, strict=True)]
        )
        most = 1 if self.rounds[-1] == self.curt else 1000
        tokens = [min(how.max_tokens, most) for how in sampling]
        self.now += sum(tokens) / 1000 * self.slow(self.rounds[-1])
        return [[Completion("", [], [], "length", n)] for n in tokens]


def _exams(n: int = 10, name: str = "mail", **told: Any) -> list[Exam]:
    config = BenchmarkConfig.model_validate({"name": name, "path": "x", "primary": True, **told})
    items = ItemSet(name, "v1", tuple(Item(f"i{k}", ({"role": "user", "content": f"q{k}"},), {}) for k in range(n)))
    asked = () if config.harness else tuple(item.messages for item in items.items)
    return [Exam(arm, model, "t", config, items, "v1", "p", 64, asked) for arm, model in MODELS.items()]


def _rows(arm: str, tokens: Sequence[int | None], name: str = "mail") -> list[dict[str, Any]]:
    return [{"benchmark": name, "arm": arm, "item_id": f"i{k}", "tokens": n} for k, n in enumerate(tokens)]


def _course() -> pacing.Course:
    found = pacing.course(_exams(), [*_rows(CHAMPION, [20] * 10), *_rows(CANDIDATE, [30] * 10)], most=5)
    assert found is not None
    return found


def _timed(machine: Machine, said: list[str] | None = None) -> dict[str, float | None]:
    say = [].append if said is None else said.append
    return pacing.seconds_a_token(OneEngine(machine.start), _course(), slower=1.5, say=say, clock=lambda: machine.now)


def test_the_items_are_spread_over_the_benchmark_and_cut_at_the_shorter_answer() -> None:
    rows = [*_rows(CHAMPION, [None, 5, 9, 9, 9, 9, 9, 9, 9, 9]), *_rows(CANDIDATE, [7, 7, 4, 0, 9, 9, 9, 9, 9, 9])]
    found = pacing.course(_exams(), rows, most=4)
    assert found is not None
    assert [asked[0]["content"] for asked in found.conversations] == ["q1", "q4", "q6", "q8"]
    assert found.tokens == [5, 9, 9, 9]
    everything = pacing.course(_exams(), rows, most=32)
    assert everything is not None and len(everything.tokens) == 8


def test_where_the_harness_asks_the_primary_another_benchmark_is_timed() -> None:
    sums = _exams(2, "sums", format="harness", harness="sums", metric="exact_match")
    other = _exams(3, "other", primary=False)
    rows = [*_rows(CHAMPION, [4] * 3, "other"), *_rows(CANDIDATE, [4] * 3, "other")]
    found = pacing.course([*sums, *other], rows, most=32)
    assert found is not None and found.champion.benchmark.name == "other"
    assert pacing.course(sums, [], most=32) is None and pacing.course(other, [], most=32) is None


def test_rounds_alternate_and_each_begins_afresh() -> None:
    machine, said = Machine(lambda model: 1.2 if model == CANDIDATE else 1.0), list[str]()
    assert _timed(machine, said) == {CHAMPION: pytest.approx(0.001), CANDIDATE: pytest.approx(0.0012)}
    assert machine.rounds == [CHAMPION, CANDIDATE, CANDIDATE, CHAMPION]
    assert all(asked == machine.asked[0] for asked in machine.asked) and len(machine.asked[0]) == 5
    assert said == [
        "speed: 1 ms a token by the champion, 1.2 by the candidate: the least of 2 rounds of each over 5 items of mail"
    ]


def test_a_candidate_that_is_slower_stays_slower_in_every_further_round() -> None:
    machine = Machine(lambda model: 2.0 if model == CANDIDATE else 1.0)
    told = _timed(machine)
    assert told[CANDIDATE] == pytest.approx(0.002) and len(machine.rounds) == 2 * pacing.MOST


def test_a_busy_machine_rejects_no_equal_candidate_and_hides_no_slow_one() -> None:
    chance = random.Random(1)
    equal, slow = 0, 0
    for _ in range(300):
        told = _timed(Machine(lambda model: chance.uniform(1, 2)))
        equal += told[CANDIDATE] > 1.5 * told[CHAMPION]  # type: ignore[operator]
        told = _timed(Machine(lambda model: chance.uniform(1, 1.3) * (2.0 if model == CANDIDATE else 1.0)))
        slow += told[CANDIDATE] > 1.5 * told[CHAMPION]  # type: ignore[operator]
    assert (equal, slow) == (0, 300)


def test_paces_of_different_numbers_of_tokens_are_not_told() -> None:
    said: list[str] = []
    assert _timed(Machine(curt=CANDIDATE), said) == {CHAMPION: None, CANDIDATE: None}
    assert said[0].startswith("speed: not told, since the champion sampled")


def test_one_engine_is_started_once_and_reloaded_for_another_model() -> None:
    started: list[str] = []
    machine = Machine()

    def start(model: ModelRef) -> Machine:
        started.append(model.model_version)
        return machine

    engine = OneEngine(start)
    for arm in (CHAMPION, CHAMPION, CANDIDATE, CANDIDATE):
        assert engine.of(MODELS[arm]) is machine
    engine.afresh(MODELS[CANDIDATE]).generate([], [Sampling()][:0])
    assert (started, machine.rounds) == ([CHAMPION], [CANDIDATE, CANDIDATE])
