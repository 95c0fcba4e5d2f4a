"""The holdout is judged blind, in both orders, and never by who answered."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tao_ops.benchmarks.item_sets import Item, ItemSet
from tao_ops.config import BenchmarkConfig
from tao_ops.errors import DataError
from tao_ops.evaluating import duels
from tao_ops.records import Message, ModelRef
from tao_ops.stages import ingest, validate

Shop = Any
TEMPLATE = Path(__file__).parents[3] / "include" / "prompts" / "judge" / "pairwise.txt"
ITEMS = ItemSet("holdout", "v1", tuple(Item(f"q{n}", ({"role": "user", "content": f"{n}?"},), {}) for n in range(4)))


class Judge:
    """Says of two responses how likely A is better."""

    def __init__(self, first: Any) -> None:
        self.first, self.asked = first, 0

    def judge(self, config: Any) -> "Judge":
        return self

    def next_word(self, conversations: Sequence[Sequence[Message]], words: Sequence[str]) -> list[Any]:
        self.asked += len(conversations)
        assert tuple(words) == ("A", "B")
        return [self._one(conversation[-1]["content"]) for conversation in conversations]

    def _one(self, shown: str) -> Any:
        assert "champion" not in shown and "candidate" not in shown
        a, b = (part.split("<response>\n")[1].split("\n</response>")[0] for part in shown.split("Response ")[1:3])
        return self.first(a, b)


def _by_length(a: str, b: str) -> dict[str, float]:
    return {"A": -0.001, "B": -7.0} if len(a) > len(b) else {"A": -7.0, "B": -0.001}


@pytest.fixture
def include(tmp_path: Path) -> Path:
    (tmp_path / "prompts" / "judge").mkdir(parents=True)
    (tmp_path / "prompts" / "judge" / "pairwise.txt").write_text(TEMPLATE.read_text("utf-8"), encoding="utf-8")
    (tmp_path / "rubric.txt").write_text("The longer one is right.", encoding="utf-8")
    return tmp_path


def _benchmark(**more: Any) -> BenchmarkConfig:
    told = {"name": "holdout", "format": "holdout", "judge": {"model": "../judge", "rubric": "rubric.txt"}, **more}
    return BenchmarkConfig.model_validate(told)


def _scores(judge: Judge, champion: list[str], candidate: list[str], include: Path) -> list[float]:
    config = _benchmark().judge
    assert config is not None
    models: Any = judge
    return duels.scores(config, ITEMS, champion, candidate, models, include)


def test_the_better_answer_wins_in_both_orders_and_equal_ones_tie(include: Path) -> None:
    judge = Judge(_by_length)
    scores = _scores(judge, ["x", "long one", "same", ""], ["long one", "x", " same\n", "text"], include)
    assert scores == pytest.approx([1.0, 0.0, 0.5, 1.0], abs=0.01)
    assert judge.asked == 6, "two orders of three pairs; equal answers are not asked about"


def test_a_judge_who_likes_a_position_says_nothing(include: Path) -> None:
    judge = Judge(lambda a, b: {"A": -0.001, "B": -7.0})
    assert _scores(judge, ["a"] * 4, ["b"] * 4, include) == pytest.approx([0.5] * 4)


def test_a_judge_without_verdicts_is_an_error(include: Path) -> None:
    judge = Judge(lambda a, b: "the judge did not answer")
    said = r"the judge of holdout gave no verdict on 4 of 4 pairs: the judge did not answer \[the first: q0\]"
    with pytest.raises(DataError, match=said):
        _scores(judge, ["a"] * 4, ["b"] * 4, include)


def test_a_version_names_items_judge_and_both_models(include: Path) -> None:
    one, two, three = (ModelRef("m", version) for version in ("one", "two", "three"))
    version = duels.version(_benchmark(), ITEMS, one, two, include)
    assert version == duels.version(_benchmark(), ITEMS, two, one, include)
    assert version != duels.version(_benchmark(), ITEMS, one, three, include)
    (include / "rubric.txt").write_text("The shorter one is right.", encoding="utf-8")
    assert version != duels.version(_benchmark(), ITEMS, one, two, include)


def test_the_items_are_the_newest_of_the_holdout(shop: Shop) -> None:
    shop.change("validate.holdout", 0.4)
    for day, place in ((20, "Lima"), (21, "Oslo")):
        shop.log([f"Ann{n} here, my {n} rakes never came to {place}, {n} of them." for n in range(12)], day=day)
        for stage in (ingest, validate):
            stage.run(shop.run(day))
    run = shop.run()
    every = duels.items(run.lake, run.turn, "tickets", _benchmark())
    texts = [item.messages[0]["content"] for item in every.items]
    assert "Oslo" in texts[0] and "Lima" in texts[-1] and len({item.item_id for item in every.items}) == len(texts)
    few = duels.items(run.lake, run.turn, "tickets", _benchmark(limit=2))
    assert few.items == every.items[:2] and few.version != every.version
    before = duels.items(run.lake, shop.run(20).turn, "tickets", _benchmark())
    assert all("Lima" in item.messages[0]["content"] for item in before.items)
    with pytest.raises(DataError, match=r"the holdout has no prompts of task other .* — raise validate\.holdout"):
        duels.items(run.lake, run.turn, "other", _benchmark())
