"""Tasks of lm-evaluation-harness, asked of an engine that answers by rule."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tao_ops.backends.harness import documents, run
from tao_ops.backends.harness_tasks import Wanted
from tao_ops.config import BenchmarkConfig
from tao_ops.errors import ConfigError, EngineError
from tao_ops.records import Completion, Message, ModelRef, Sampling
from tao_ops.scoring import harness, marks

pytest.importorskip("lm_eval")
CAPITALS = {"Norway": "Oslo", "Italy": "Rome", "Peru": "Lima"}
ASK = """
task: capital
dataset_path: json
dataset_kwargs: {data_files: {test: test.jsonl, train: train.jsonl}}
output_type: generate_until
test_split: test
fewshot_split: train
num_fewshot: 1
doc_to_text: "What is the capital of {{country}}?"
doc_to_target: "{{capital}}"
generation_kwargs: {until: ["\\n"], max_gen_toks: 8}
metric_list:
  - {metric: exact_match, aggregation: mean, higher_is_better: true, ignore_case: true}
"""
CHOOSE = """
task: choose
dataset_path: json
dataset_kwargs: {data_files: {test: test.jsonl}}
output_type: multiple_choice
test_split: test
doc_to_text: "What is the capital of {{country}}?"
doc_to_choice: ["Oslo", "Rome", "Lima"]
doc_to_target: capital
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
"""


class Engine:
    """Knows the capital of Norway and no other; tells nothing but texts."""

    name, max_model_len = "by rule", 100

    def __init__(self) -> None:
        self.asked: list[list[Message]] = []
        self.sampling: list[Sampling] = []

    def generate(
        self, conversations: Sequence[Sequence[Message]], sampling: Sequence[Sampling] | Sampling
    ) -> list[list[Completion]]:
        self.asked = [list(one) for one in conversations]
        self.sampling = [sampling] if isinstance(sampling, Sampling) else list(sampling)
        return [self.answer(one[-1]["content"]) for one in conversations]

    def answer(self, question: str) -> list[Completion]:
        return [Completion("oslo\nor so" if "Norway" in question else "Paris", (), (), "stop", 3)]

    def reload(self, model: ModelRef) -> None:
        raise AssertionError


class TellingEngine(Engine):
    """Finds Rome likeliest, always."""

    def continuation_logprobs(self, pairs: Sequence[tuple[Sequence[Message], str]]) -> list[tuple[float, bool] | None]:
        return [(-1.0 if answer == "Rome" else -2.0, answer == "Rome") for _, answer in pairs]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [{"country": country, "capital": capital, "half": country > "M"} for country, capital in CAPITALS.items()]
    for name, told in (("test", rows), ("train", [{"country": "Spain", "capital": "Madrid", "half": True}])):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in told), encoding="utf-8")
    (tmp_path / "capital.yaml").write_text(ASK, encoding="utf-8")
    (tmp_path / "choose.yaml").write_text(CHOOSE, encoding="utf-8")
    return tmp_path


def _quiet(line: str) -> None:
    assert line


def _wanted(folder: Path, task: str = "capital", metric: str = "exact_match", limit: int | None = None) -> Wanted:
    return Wanted(folder, task, metric, limit)


def _ask(folder: Path, engine: Any, **wanted: Any) -> list[float]:
    return [one.score for one in run(_wanted(folder, **wanted), engine, say=_quiet)]


def test_questions_are_chats_and_answers_are_cut_and_scored_by_the_task(folder: Path) -> None:
    engine = Engine()
    found = run(_wanted(folder), engine, say=_quiet)
    assert [(one.document.item_id, one.score, one.output) for one in found] == [
        ("0", 1.0, "oslo"),
        ("1", 0.0, "Paris"),
        ("2", 0.0, "Paris"),
    ]
    assert engine.asked[0] == [
        {"role": "user", "content": "What is the capital of Spain?"},
        {"role": "assistant", "content": "Madrid"},
        {"role": "user", "content": "What is the capital of Norway?"},
    ]
    assert engine.sampling == [Sampling(max_tokens=8)] * 3
    assert [one.document for one in found] == documents(_wanted(folder))
    assert found[0].document.target == "Oslo" and found[0].document.columns["country"] == "Norway"
    assert _ask(folder, Engine(), limit=2) == [1.0, 0.0]


def test_choices_are_compared_by_an_engine_that_tells_how_likely_they_are(folder: Path) -> None:
    found = run(_wanted(folder, "choose", "acc"), TellingEngine(), say=_quiet)
    assert [(one.score, one.output) for one in found] == [(0.0, "Rome"), (1.0, "Rome"), (0.0, "Rome")]
    with pytest.raises(ConfigError, match="log-probabilities of given answers, which by rule does not tell"):
        _ask(folder, Engine(), task="choose", metric="acc")


def test_a_benchmark_of_the_harness_has_items_scores_outputs_and_a_version(folder: Path) -> None:
    benchmark = BenchmarkConfig(
        name="kept", path=".", format="harness", harness="capital", metric="exact_match", slices=("half",)
    )

    def file(relative: str) -> Path:
        return folder / relative

    items, scores, outputs = harness.run_harness(benchmark, file, Engine(), say=_quiet)
    assert (scores, outputs) == ([1.0, 0.0, 0.0], ["oslo", "Paris", "Paris"])
    assert items.items[0].messages[-1]["content"] == "What is the capital of Norway?"
    assert [item.slices for item in items.items] == [{"half": "True"}, {"half": "False"}, {"half": "True"}]
    assert items.items[0].reference == {"target": "Oslo"}
    assert marks.asked(benchmark, file) == items
    before = marks.version(benchmark, file)
    assert before.startswith(f"{items.version}-")
    (folder / "test.jsonl").write_text((folder / "test.jsonl").read_text().replace("Oslo", "Bergen"), encoding="utf-8")
    assert marks.version(benchmark, file) != before
    wrong = benchmark.model_copy(update={"slices": ("continent",)})
    with pytest.raises(ConfigError, match="document 0 of kept has no single value 'continent'"):
        marks.asked(wrong, file)
    with pytest.raises(ConfigError, match="benchmark kept names no folder"):
        marks.version(benchmark.model_copy(update={"path": "nowhere"}), file)


def test_a_task_of_the_harness_itself_takes_local_data(folder: Path) -> None:
    row = {"question": "Janet has 2 eggs and eats 1. How many are left?", "answer": "2 - 1 = 1\n#### 1"}
    for name in ("test", "train"):
        (folder / f"{name}.jsonl").write_text((json.dumps(row) + "\n") * 8, encoding="utf-8")

    class Counting(Engine):
        def answer(self, question: str) -> list[Completion]:
            return [Completion("She has 2 - 1 = 1 left.", (), (), "stop", 9)]

    assert _ask(folder, Counting(), task="gsm8k", metric="exact_match,flexible-extract", limit=2) == [1.0, 1.0]
    assert _ask(folder, Counting(), task="gsm8k", limit=2) == [0.0, 0.0]
    with pytest.raises(ConfigError, match=r"no filter 'other' .* it has strict-match, flexible-extract"):
        _ask(folder, Counting(), task="gsm8k", metric="exact_match,other", limit=2)
    (folder / "train.jsonl").unlink()
    with pytest.raises(ConfigError, match=r"examples are missing .*train\.jsonl"):
        _ask(folder, Counting(), task="gsm8k")
    (folder / "test.jsonl").unlink()
    with pytest.raises(ConfigError, match=r"data are on a hub, as 'openai/gsm8k' .* test\.jsonl"):
        _ask(folder, Counting(), task="gsm8k")


@pytest.mark.parametrize(
    ("old", "new", "wanted", "says"),
    [
        ("", "", {"task": "nobody_knows"}, "there is no task 'nobody_knows'"),
        ("", "", {"metric": "f1"}, "no metric 'f1' .* it has exact_match"),
        ("test: test.jsonl", "test: gone.jsonl", {}, r"data are missing \[.*gone\.jsonl\]"),
        ("{{capital}}", "{{capital", {}, "cannot be used: TemplateSyntaxError"),
        ("output_type: generate_until", "output_type: loglikelihood_rolling", {}, "not asked here|cannot be used"),
        ("num_fewshot: 1", "unsafe_code: true", {}, "runs what the model writes"),
        ("num_fewshot: 1", 'gen_prefix: "It is"', {}, "'gen_prefix' begins the answer itself"),
        ("higher_is_better: true", "higher_is_better: false", {}, "less is better by 'exact_match'"),
    ],
)
def test_a_wrong_task_is_one_clear_error(folder: Path, old: str, new: str, wanted: dict[str, str], says: str) -> None:
    (folder / "capital.yaml").write_text(ASK.replace(old, new) if old else ASK, encoding="utf-8")
    with pytest.raises(ConfigError, match=says):
        _ask(folder, Engine(), **wanted)


def test_a_question_that_does_not_fit_is_named_and_an_engines_error_stays_one(folder: Path) -> None:
    class Short(Engine):
        def answer(self, question: str) -> list[Completion]:
            return []

    class Broken(Engine):
        def answer(self, question: str) -> list[Completion]:
            raise EngineError("out of memory")

    with pytest.raises(ConfigError, match="does not fit into 100 tokens .*capital of Norway"):
        _ask(folder, Short())
    with pytest.raises(EngineError, match="out of memory"):
        _ask(folder, Broken())
