"""The first assignment of a text wins for ever, in whatever turn and however often it comes again."""

import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tao_ops import splits
from tao_ops.benchmarks.item_sets import Item, ItemSet
from tao_ops.clusters import Index, Placed
from tao_ops.dedup import signatures
from tao_ops.lake import open_lake
from tao_ops.privacy import keyed_hash
from tao_ops.records import Message, Split
from tao_ops.splits import Wall, cluster_id
from tao_ops.tables import CLUSTERS, Reason
from tao_ops.turn import Turn

TRAIN, HOLDOUT = Split.TRAIN, Split.HOLDOUT
KEY = b"k"
LONG = (
    "I have done a transfer within the country the day before yesterday, but it is still not there yet. Please check."
)
FRONT, MIDDLE, BACK = LONG[12:], LONG[6:-6], LONG[:-12]
"""The middle one is near both others at 0.85; they are not near each other."""

Day = Callable[..., list[Placed]]


def _said(text: str | Sequence[str]) -> list[Message]:
    contents = [text] if isinstance(text, str) else text
    return [{"role": ("user", "assistant")[i % 2], "content": content} for i, content in enumerate(contents)]


def _wall(*texts: str, threshold: float = 0.85) -> Wall:
    items = tuple(Item(f"i{i}", tuple(_said(text)), {}) for i, text in enumerate(texts))
    return Wall([ItemSet("exam", "v1", items)], list, threshold)


def _turn(day: int) -> Turn:
    start = datetime(2026, 11, day, tzinfo=UTC)
    return Turn("shop", start, start + timedelta(days=1))


@pytest.fixture
def day(tmp_path: Path) -> Day:
    """A turn's validation: place the texts and, unless it is killed before, write the index."""
    lake = open_lake(str(tmp_path / "lake"))

    def place(
        number: int, *texts: str | Sequence[str], exam: Sequence[str] = (), write: bool = True, **how: Any
    ) -> Any:
        how = {"holdout": 0.0, "threshold": 0.85, "key": KEY, **how}
        task = how.pop("task", "tickets")
        index = Index.load(lake, _turn(number))
        queries = [(keyed_hash(KEY, task, repr(text)), _said(text)) for text in texts]
        placed = index.assign(task, queries, wall=_wall(*exam, threshold=how["threshold"]), **how)
        if write:
            index.write(f"run-{number}")
        return placed

    return place


def _rows(tmp_path: Path, **where: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = open_lake(str(tmp_path / "lake")).read(CLUSTERS, **where).to_pylist()
    return rows


def _splits(placed: Sequence[Placed]) -> list[Split | None]:
    return [one.split for one in placed]


def test_the_texts_of_these_tests_are_as_they_say() -> None:
    front, middle, back = signatures([FRONT, MIDDLE, BACK])
    assert min((front == middle).mean(), (middle == back).mean()) >= 0.85 > (front == back).mean()


def test_equal_and_near_texts_of_a_turn_are_one_prompt(day: Day, tmp_path: Path) -> None:
    placed = day(1, LONG, "Cancel my order.", LONG.upper(), LONG + "!", LONG + "!", "Cancel my order.")
    assert [one.leader for one in placed] == [0, 1, 0, 0, 0, 1]
    assert [one.near for one in placed] == [False, False, False, True, True, False]
    assert [one.cluster for one in placed] == [placed[one.leader].cluster for one in placed]
    assert placed[0].cluster == cluster_id(KEY, "tickets", LONG) != placed[1].cluster
    assert {row["cluster"] for row in _rows(tmp_path)} == {placed[0].cluster, placed[1].cluster}


def test_a_new_cluster_is_split_by_its_text(day: Day) -> None:
    texts = [f"{number} jackets for {number * number}" for number in range(100)]
    placed = day(1, *texts, holdout=0.3, threshold=1)
    assert _splits(placed) == [splits.split(splits.digest(text), 0.3) for text in texts]
    assert 15 < _splits(placed).count(HOLDOUT) < 45


def test_the_text_is_the_whole_conversation(day: Day) -> None:
    placed = day(1, [LONG, "Which one?", "The last."], "The last.", [LONG, "Which one?", "The last!"])
    assert [one.leader for one in placed] == [0, 1, 0]


@pytest.mark.parametrize("text", [LONG, LONG.upper(), LONG + "!", "Hi, " + LONG])
def test_a_later_turn_inherits_the_cluster_and_the_split(day: Day, text: str) -> None:
    first = day(1, LONG, holdout=1.0)
    later = day(2, text, "Something else.")
    assert later[0] == first[0] and later[1].split is TRAIN


def test_the_most_similar_text_is_inherited_from(day: Day) -> None:
    first = day(1, FRONT, BACK)
    assert day(2, FRONT + "!")[0].cluster == first[0].cluster
    assert day(3, BACK + "!")[0].cluster == first[1].cluster != first[0].cluster


def test_near_the_holdout_and_a_training_text_it_is_refused_and_forgotten(day: Day, tmp_path: Path) -> None:
    day(1, FRONT, holdout=1.0)
    day(2, BACK)
    placed = day(3, MIDDLE, "Something else.", MIDDLE)
    assert [(one.reason, one.split, one.near, one.leader) for one in placed] == [
        (Reason.HOLDOUT_MATCH, None, True, 0),
        (None, TRAIN, False, 1),
        (Reason.HOLDOUT_MATCH, None, True, 2),
    ]
    assert len(_rows(tmp_path)) == 3


def test_so_it_is_where_one_of_the_two_came_in_the_same_turn(day: Day) -> None:
    day(1, FRONT, holdout=1.0)
    assert [one.reason for one in day(2, BACK, MIDDLE)] == [None, Reason.HOLDOUT_MATCH]


def test_near_two_texts_of_one_split_it_joins_the_nearer(day: Day) -> None:
    placed = day(1, FRONT, BACK, MIDDLE)
    front, middle, back = signatures([FRONT, MIDDLE, BACK])
    assert placed[2].leader == (0 if (front == middle).mean() >= (back == middle).mean() else 1)


def test_an_assignment_outlives_what_comes_near_it_later(day: Day) -> None:
    first = day(1, MIDDLE, holdout=1.0, threshold=1)
    day(2, FRONT, BACK, threshold=1)
    assert day(3, MIDDLE) == first
    assert day(4, FRONT, MIDDLE)[1] == Placed(1, first[0].cluster, HOLDOUT)


def test_the_share_of_the_holdout_moves_no_text(day: Day) -> None:
    assert _splits(day(1, LONG, holdout=0.0) + day(1, LONG, holdout=1.0) + day(2, LONG, holdout=1.0)) == [TRAIN] * 3


def test_an_exam_item_is_refused_even_where_it_was_a_prompt(day: Day, tmp_path: Path) -> None:
    day(1, LONG)
    placed = day(2, LONG, LONG + "!", "Something else.", ["Hi", "Yes?", LONG], exam=[LONG])
    exam = Reason.BENCHMARK_ITEM
    assert [(one.reason, one.near) for one in placed] == [(exam, False), (exam, True), (None, False), (exam, False)]
    assert len(_rows(tmp_path, turn=_turn(2).key)) == 1


def test_tasks_know_nothing_of_each_other(day: Day, tmp_path: Path) -> None:
    day(1, LONG, holdout=1.0)
    assert _splits(day(2, LONG, LONG + "!", task="sql")) == [TRAIN, TRAIN]
    assert len({row["cluster"] for row in _rows(tmp_path)}) == 2


def test_all_tasks_of_a_turn_are_written_at_once(tmp_path: Path) -> None:
    lake = open_lake(str(tmp_path / "lake"))
    index = Index.load(lake, _turn(1))
    for task in ("tickets", "sql"):
        index.assign(task, [("q", _said(LONG))], wall=_wall(), holdout=0.0, threshold=0.9, key=KEY)
    assert lake.version(CLUSTERS) is None
    version = index.write("r")
    assert version == lake.version(CLUSTERS)
    assert sorted((row["task"], row["turn"], row["run_id"]) for row in _rows(tmp_path)) == [
        ("sql", _turn(1).key, "r"),
        ("tickets", _turn(1).key, "r"),
    ]


def test_at_one_only_equal_texts_are_one(day: Day) -> None:
    day(1, LONG, "a" * 9, holdout=1.0, threshold=1)
    placed = day(2, LONG + "!", "a" * 10, LONG.upper(), "A" * 9, threshold=1)
    assert _splits(placed) == [TRAIN, TRAIN, HOLDOUT, HOLDOUT]
    assert [one.leader for one in placed] == [0, 1, 2, 3]


def test_running_a_turn_again_writes_nothing(day: Day, tmp_path: Path) -> None:
    first = day(1, FRONT, MIDDLE, BACK, LONG, holdout=0.5)
    version = open_lake(str(tmp_path / "lake")).version(CLUSTERS)
    assert day(1, FRONT, MIDDLE, BACK, LONG, holdout=0.5) == first
    assert open_lake(str(tmp_path / "lake")).version(CLUSTERS) == version


def test_what_a_turn_merged_is_merged_again_though_a_later_prompt_of_it_is_near_too(day: Day) -> None:
    # On the second run both prompts are in the index, in different splits; the text between them came before the other.
    front, back = next(
        (f"{n} {FRONT}", f"{BACK} {n}")
        for n in range(10, 99)
        if splits.split(splits.digest(f"{n} {FRONT}"), 0.5) is not splits.split(splits.digest(f"{BACK} {n}"), 0.5)
    )
    first = day(1, front, MIDDLE, back, holdout=0.5, threshold=0.8)
    assert [one.leader for one in first] == [0, 0, 2] and first[0].split is not first[2].split
    assert day(1, front, MIDDLE, back, holdout=0.5, threshold=0.8) == first


def test_a_query_that_arrives_late_agrees_with_the_turns_prompts(day: Day, tmp_path: Path) -> None:
    first = day(1, "Something else.", LONG, holdout=0.0)
    again = day(1, LONG + "!", "Something else.", LONG, holdout=1.0)
    assert (again[0].cluster, again[0].split) == (first[1].cluster, TRAIN)
    assert again[2] == Placed(0, first[1].cluster, TRAIN, near=True)
    rows = _rows(tmp_path)
    assert len(rows) == 3 and {row["turn"] for row in rows} == {_turn(1).key}


def test_a_turn_with_fewer_queries_keeps_what_it_once_held(day: Day, tmp_path: Path) -> None:
    day(1, LONG, "Something else.", holdout=1.0)
    assert day(1, LONG + "!")[0].split is HOLDOUT
    assert len(_rows(tmp_path)) == 3


def test_the_index_names_no_text_and_needs_the_key_to_find_one(day: Day, tmp_path: Path) -> None:
    day(1, LONG, threshold=1)
    (row,) = _rows(tmp_path)
    assert set(row) == {"flywheel", "turn", "run_id", "task", "query_id", "cluster", "split", "signature"}
    assert row["cluster"] == cluster_id(KEY, "tickets", LONG) != splits.digest(LONG)
    assert bytes.fromhex(row["cluster"])[:8] == row["signature"][:8][::-1] and len(row["signature"]) == 8 + 4 * 128


def test_the_holdout_is_known_to_training(day: Day, tmp_path: Path) -> None:
    day(1, FRONT, holdout=1.0)
    day(2, "Something else, please, and soon.")
    index = Index.load(open_lake(str(tmp_path / "lake")), _turn(3))
    asked = [_said(text) for text in (FRONT, FRONT.upper(), MIDDLE, BACK, "Something else, please, and soon.")]
    assert index.held_out(asked, 0.85) == [True, True, True, False, False]
    assert index.held_out(asked, 1) == [True, True, False, False, False]


@pytest.mark.parametrize("seed", range(3))
def test_whatever_comes_when_no_training_text_is_near_the_holdout(day: Day, tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    texts = [LONG[rng.randint(0, 40) : -rng.randint(1, 40)] for _ in range(400)]
    days = [texts[start : start + 40] for start in range(0, 400, 40)]
    placed = {}
    for number in rng.sample(range(10), 10):
        killed = day(number + 1, *days[number], holdout=0.4, write=rng.random() < 0.5)
        placed[number] = day(number + 1, *days[number], holdout=0.4)
        assert placed[number] == killed
    by_split: dict[Split | None, set[str]] = {TRAIN: set(), HOLDOUT: set(), None: set()}
    for number, mine in placed.items():
        for i, one in enumerate(mine):
            if one.leader == i:
                by_split[one.split].add(days[number][i])
    train, holdout = (signatures(sorted(by_split[split])) for split in (TRAIN, HOLDOUT))
    assert len(train) > 5 and len(holdout) > 5 and by_split[None]
    assert (train[:, None] == holdout[None]).mean(axis=2).max() < 0.85
    assert len({(row["task"], row["query_id"]) for row in _rows(tmp_path)}) == len(_rows(tmp_path))
