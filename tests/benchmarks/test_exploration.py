"""The benchmark of exploration replays a pool fairly, and reads a curve right."""

import math
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.exploration.curves import Point, only, reached, replay
from benchmarks.exploration.pool import Pool
from benchmarks.exploration.tasks import Labelled, example
from tao_ops import exploration
from tao_ops.config import GenerateConfig
from tao_ops.exploration import Adaptive, Explored, Uniform, Wanted


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Labelled:
    return example(tmp_path_factory.mktemp("example"))


@pytest.fixture(scope="module")
def explored(task: Labelled) -> Explored:
    return only(exploration.explored(task.flywheel, task.name, seed=1), ["plain", "demonstrations"], 8)


@pytest.fixture(scope="module")
def pool(task: Labelled, explored: Explored) -> Pool:
    """Worked examples find the right answer in every second response, the plain prompt never does."""
    rows = []
    for prompt in task.prompts:
        values = task.references[prompt.query_id]
        right = "{" + ", ".join(f'"{key}": "{value}"' for key, value in values.items()) + "}"
        for way in explored.ways:
            for sample in range(8):
                good = way.name == "demonstrations" and sample % 2 == 0
                answer = right if good else f"hm {sample}"
                told = {"query_id": prompt.query_id, "strategy": way.name, "sample": sample, "finish_reason": "stop"}
                rows.append({**told, "text": answer, "answer": answer, "tokens": 10})
    return Pool(rows)


def test_a_replay_draws_each_response_once_in_an_order_of_its_own(
    task: Labelled, explored: Explored, pool: Pool
) -> None:
    wanted = [Wanted(task.prompts[0], explored.ways[1], i, 1) for i in range(8)]
    orders = []
    for seed in range(3):
        responses, too_long, tokens = pool.replay(seed)(wanted)
        orders.append([response.answer for response in responses])
        assert tokens == 80 and not too_long and Counter(orders[-1])[orders[0][0]] >= 1
    assert len({tuple(order) for order in orders}) > 1 and len({tuple(sorted(order)) for order in orders}) == 1


def test_adaptive_finds_what_uniform_finds_for_less(task: Labelled, explored: Explored, pool: Pool) -> None:
    uniform, _ = replay(task, pool, explored, Uniform(), 1)
    adaptive, found = replay(task, pool, explored, Adaptive(GenerateConfig(), {}, 1), 1)
    assert uniform.tokens == 60 * 16 * 10 and uniform.found == uniform.picked == 1.0 == uniform.precision
    assert adaptive.found == 1.0 and adaptive.tokens < uniform.tokens and found.settled > 0
    plain, _ = replay(task, pool, only(explored, ["plain"], 4), Uniform(), 1)
    assert (plain.tokens, plain.found, plain.picked) == (60 * 4 * 10, 0.0, 0.0)


def test_a_quality_is_reached_between_two_points() -> None:
    curve = [[Point(tokens, 0.0, found, 0.0, 0.0)] for tokens, found in ((100, 0.2), (300, 0.6), (500, 0.5))]
    assert reached(curve, "found", 0.4, 0) == pytest.approx(200)
    assert reached(curve, "found", 0.1, 0) == pytest.approx(50)
    assert reached(curve, "found", 0.6, 0) == pytest.approx(300)
    assert math.isinf(reached(curve, "found", 0.7, 0))


def test_the_task_is_read_from_a_folder_of_its_own(task: Labelled, tmp_path: Path) -> None:
    assert len(task.prompts) == 60 == len(task.references)
    lengths = [len(prompt.text) for prompt in task.prompts]
    assert lengths == sorted(lengths, reverse=True)
