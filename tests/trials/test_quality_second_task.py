"""The second task of docs/results.md: its questions, its files, its logs, and what is told of them."""

import doctest
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tao_ops import exam
from tao_ops.records import Candidate, Prompt
from tao_ops.rewards import Setting, TaskScorers
from tao_ops.settings import Settings
from tao_ops.stages import Run, Stage, ingest
from tao_ops.strategies import build
from tao_ops.strategies.demonstrations import load_examples
from tao_ops.tables import PROMPTS, QUERIES, RESPONSES, REWARDS
from trials.quality import second_task, settings
from trials.quality.cell import key
from trials.quality.home import Home, StageFailed, turn_of
from trials.quality.second_task import flywheel, page, questions, truth
from trials.quality.second_task.questions import Asked
from trials.quality.second_task.truth import Found
from trials.quality.settings import SEEDS, day
from trials.quality.stored import Chain

WANTS = ("card_arrival", "lost_card", "Refund_not_showing_up", "top_up_failed?")
PLACES = ("Oslo", "Rome", "Den Haag", "Bern", "Wien", "Lyon", "Porto", "Riga", "Gent", "Turku", "Graz", "Malmo")
SAYS = {
    "card_arrival": "When will my new card arrive in {}",
    "lost_card": "I have lost my card on the way to {}",
    "Refund_not_showing_up": "The shop in {} says that it gave me a refund",
    "top_up_failed?": "My account was not topped up in {}, was it",
}


@pytest.fixture
def made_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the same files as the real one and made-up questions in them."""
    folder = tmp_path / "banking77"
    folder.mkdir()
    for part, places, end in (("train", PLACES, "?"), ("test", PLACES[:5], ", please tell me, since I wait for it.")):
        rows = [f'"{SAYS[want].format(place)}{end}",{want}' for want in WANTS for place in places]
        (folder / f"{part}.csv").write_text("\n".join(["text,category", *rows]) + "\n", encoding="utf-8")
    monkeypatch.setattr(questions, "FOLDER", folder)
    monkeypatch.setattr(questions, "ITEMS", 10)
    for cached in (questions.read, questions.exam, questions.examples):
        cached.cache_clear()
    yield folder
    for cached in (questions.read, questions.exam, questions.examples):
        cached.cache_clear()


def _opened(tmp_path: Path, told: dict[str, Any], per_day: int = 8) -> flywheel.TwoTasks:
    return flywheel.TwoTasks.opened(tmp_path / "home", told, per_day)


# --- the questions


def test_the_exam_has_equally_many_of_each_intent_or_one_more_whatever_their_order() -> None:
    asked = [Asked(f"{want} {number}", want) for want in WANTS for number in range(9)]
    drawn = questions.stratified(asked, 14, "s")
    assert len(set(drawn)) == 14 and set(Counter(one.intent for one in drawn).values()) == {3, 4}
    assert drawn == questions.stratified(asked, 14, "s") != questions.stratified(asked, 14, "another")


def test_one_question_of_each_intent_is_shown_and_never_asked(made_up: Path) -> None:
    shown = questions.examples()
    assert [one.intent for one in shown] == sorted(WANTS)
    asked = questions.traffic(1, 14)
    assert len({one.text for _, one in asked.values()}) == len(asked) == 42
    assert not {one.text for _, one in asked.values()} & {one.text for one in (*shown, *questions.exam())}
    assert questions.traffic(2, 14) != asked == questions.traffic(1, 14)


def test_the_logs_hold_no_intent(made_up: Path, tmp_path: Path) -> None:
    paths = questions.write_traffic(tmp_path / "logs", 1, 8, "the prompt")
    assert [path.name for path in paths] == [f"{day(turn)}-intents.jsonl" for turn in (1, 2, 3)]
    lines = [json.loads(line) for line in paths[0].read_text(encoding="utf-8").splitlines()]
    assert {line["received_at"][:10] for line in lines} == {day(1)} and len(lines) == 8
    assert not any(f'"{want}"' in path.read_text(encoding="utf-8") for path in paths for want in WANTS)


def test_without_the_questions_a_cell_fails_with_the_reason_and_the_page_tells_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(questions, "FOLDER", tmp_path / "nowhere")
    questions.read.cache_clear()
    cell = second_task.cells([Chain(1, tmp_path)])[-1]
    with pytest.raises(StageFailed, match=r"there is no .*train\.csv: name the folder with banking77 in TAO_DATA"):
        cell.measure()
    text = "\n".join(page.told({}, {}))
    assert "**missing**" in text and "TAO_DATA" in text and "`make results ONLY=second_task`" in text


# --- the flywheel


def _asked(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Turn one's queries as the logs have them, in this process, each a training prompt."""
    for name, value in (("TAO_HASH_KEY", "k"), ("TAO_HOME", str(home.folder / "home"))):
        monkeypatch.setenv(name, value)
    turn = turn_of(day(1))
    ingest.run(Run(home.flywheel(), turn, "r", home.lake, Settings.from_env(), "", say=lambda line: None))
    rows = home.lake.read(QUERIES, flywheel=turn.flywheel, turn=turn.key).to_pylist()
    prompts = {  # one prompt for all that asked the same
        row["query_id"]: {
            **{name: row[name] for name in ("query_id", "task", "messages")},
            "count": 1,
            "cluster": "c",
            "split": "train",
        }
        for row in rows
    }
    home.lake.write(PROMPTS, [*prompts.values()], turn=turn, run_id="r")


def test_a_cell_tells_both_tasks_and_what_was_right_of_what_was_trained(
    made_up: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flywheel, "PER_DAY", 8)
    ran: list[str] = []
    prompts: list[dict[str, Any]] = []

    def stage(home: Home, stage: Stage, when: str, run_id: str) -> dict[str, Any]:
        ran.append(stage.value)
        if stage is Stage.INGEST:
            _asked(home, monkeypatch)
        if stage is Stage.GENERATE:
            prompts.extend(home.lake.read(PROMPTS, columns=["task"]).to_pylist())
            _sampled(home, _gold(home))
        if stage is Stage.UPDATE:
            _candidate(home, run_id, _gold(home))
        lines = [_line("tickets", 0.0, 0.5), _line("banking77", 0.0, 0.2)]
        metrics = {"tasks": {}, "benchmarks": lines, "decision": "promote", "reasons": []}
        return {"tokens": 50, "rows_out": 9, "metrics": metrics}

    monkeypatch.setattr(Home, "_stage", stage)
    cells = {cell.name: cell for cell in second_task.cells([Chain(1, tmp_path)])}
    both = cells[second_task.JOINT].measure()
    assert {row["task"] for row in prompts} == {"tickets", "intents"}
    assert ran == ["ingest", "validate", "generate", "score", "update", "evaluate", "gate"]
    asked = both["explored"]["queries"]
    assert asked == 8
    assert both["trained"] == {"rows": asked, "right": asked - 1, "intents": both["trained"]["intents"]}
    assert both["benchmarks"]["banking77"]["candidate"] == 0.2 and both["verdict"]["decision"] == "promote"
    assert both["explored"]["strategies"]["plain"] == {
        "responses": 2 * asked,
        "labels": 0.5,
        "right": 0.5,
        "found": 1.0,
    }
    alone = cells[second_task.EXPLORATION]
    monkeypatch.setattr(flywheel, "PROBED", 6)
    found = alone.measure()
    assert found["queries"] == 6 and set(found["nearest"]) == {"nearest_four", "nearest_ten"}
    assert found["nearest"]["nearest_ten"] == {"shown": 1.0, "first": 1.0}
    assert not list((tmp_path / "seed-1").glob("second-task*"))


def _gold(home: Home) -> dict[str, str]:
    """By query id, the intent of each question of the turn, by its words."""
    intents = {asked.text: asked.intent for asked in questions.read("train")}
    rows = home.lake.read(PROMPTS, columns=["query_id", "task", "messages"]).to_pylist()
    return {row["query_id"]: intents[row["messages"][-1]["content"]] for row in rows if row["task"] == "intents"}


def _candidate(home: Home, run_id: str, gold: dict[str, str]) -> None:
    """What an update leaves: the rows that it trained on, the right answers but one, twice, and a ticket's."""
    responses = {query_id: _json(intent) for query_id, intent in gold.items()}
    responses[min(responses)] = _json("another")
    rows = [
        {"task": "intents", "role": "best", "query_id": query_id, "response": response, "method": method}
        for query_id, response in responses.items()
        for method in ("raft", "grpo")
    ]
    folder = home.lake.artifacts(turn_of(day(1)), run_id)
    (folder / "candidate-1").mkdir(parents=True)
    rows.append({"task": "tickets", "role": "best", "query_id": "t", "response": "{}", "method": "raft"})
    pq.write_table(pa.Table.from_pylist(rows), folder / "candidate-1" / "training_rows.parquet")
    (folder / "candidate.json").write_text(json.dumps({"path": str(folder / "candidate-1")}), encoding="utf-8")


def _sampled(home: Home, gold: dict[str, str]) -> None:
    """Two responses to each query, the first one right."""
    texts = {
        f"{one}:plain:{n}": (one, text)
        for one, intent in gold.items()
        for n, text in enumerate((_json(intent), "no idea"))
    }
    responses = [
        {
            "response_id": name,
            "query_id": query_id,
            "strategy": "plain",
            "strategy_version": "",
            "sample": int(name[-1]),
            "round": 1,
            "temperature": 0.8,
            "text": text,
            "answer": text,
            "token_ids": [],
            "logprobs": [],
            "finish_reason": "stop",
            "tokens": 1,
            "model_version": "m",
        }
        for name, (query_id, text) in texts.items()
    ]
    rewards = [
        {
            "response_id": name,
            "query_id": query_id,
            "scores": [],
            "undecided": [],
            "reward": 0.7,
            "flags": [],
            "calibrator_version": None,
        }
        for name, (query_id, _) in texts.items()
    ]
    home.lake.write(RESPONSES, responses, turn=turn_of(day(1)), run_id="r", shard=0)
    home.lake.write(REWARDS, rewards, turn=turn_of(day(1)), run_id="r", shard=0)


def _json(intent: str) -> str:
    return json.dumps({"intent": intent})


def test_only_a_whole_answer_of_the_closed_set_earns_anything(made_up: Path, tmp_path: Path) -> None:
    found = _opened(tmp_path, flywheel.alone(1)).flywheel()
    task = found.tasks["intents"]
    scorers = TaskScorers(task.scorers, Setting(found.file(""), task.json_schema))
    answers = [_json("lost_card"), _json("lost_card"), _json("stolen_card"), "lost_card", f"{_json('lost_card')}."]
    scored = scorers.score([Candidate("q", "I lost it", answer, "plain") for answer in answers])
    rewards = [one.reward for one in scored]
    assert rewards[0] == rewards[1] > 0.6 and rewards[2:] == [0.0] * 3


def test_the_nearest_intents_are_shown_and_the_production_prompt_names_none(made_up: Path, tmp_path: Path) -> None:
    home = _opened(tmp_path, flywheel.alone(1))
    found = home.flywheel()
    exam.refuse_exam(found, "intents", {"here": load_examples(found.file("intents/demonstrations.jsonl"))[0]})
    assert not any(want in found.prompt("intents") for want in WANTS)
    ways = build(found, "intents", seed=1)
    asked = "Has my top-up failed? It's not in my account!"
    prompt = Prompt("q", "intents", ({"role": "user", "content": asked},))
    near = ways["nearest_four"].conversation(prompt, 0, ())
    assert near[0]["content"].rstrip().endswith(_json("top_up_failed?")) and near[1]["content"] == asked
    listed = "\n".join(message["content"] for message in ways["demonstrations"].conversation(prompt, 0, ()))
    assert all(want in listed for want in WANTS)


def test_a_home_of_other_settings_is_made_anew_and_one_of_the_same_goes_on(made_up: Path, tmp_path: Path) -> None:
    told = flywheel.settings(1)
    home = _opened(tmp_path, told)
    home.done = {day(1): {"ingest": {}}}
    home.undo(day(1), Stage.SCORE)
    assert _opened(tmp_path, told).done == {day(1): {"ingest": {}}}
    assert _opened(tmp_path, {**told, "seed": 2}).done == {}
    assert not list((tmp_path / "home" / "lake").glob("*"))


def test_the_example_s_own_task_stays_as_it_is() -> None:
    told, example = flywheel.settings(2), settings.flywheel_settings(2)
    assert told["tasks"]["tickets"] == example["tasks"]["tickets"] and told["update"] == example["update"]
    primary = [b["name"] for task in told["tasks"].values() for b in task["benchmarks"] if b["primary"]]
    assert primary == ["tickets"]


# --- held against the hidden intents


def test_the_docstrings_examples_hold() -> None:
    assert sum(doctest.testmod(module).failed for module in (truth, flywheel)) == 0


def _pool(query: str, *said: str | None, gold: str) -> list[Found]:
    return [Found(query, "s", one, 1.0, one == gold) for one in said]


def test_a_vote_s_share_says_how_many_picks_are_right() -> None:
    found = [
        *_pool("sure and right", "a", "a", "a", "a", None, gold="a"),
        *_pool("sure and wrong", "b", "b", "b", "b", gold="a"),
        *_pool("split", "a", "a", "b", "c", "d", gold="a"),
        *_pool("a draw", "b", "a", gold="b"),
        *_pool("nothing", None, None, gold="a"),
    ]
    rows = {row["share"]: (row["queries"], row["right"]) for row in truth.by_vote(found)}
    assert rows[0.0] == (4, 2) and rows[0.5] == (3, 1) and rows[0.9] == (2, 1)


def test_right_of_n_counts_each_query_once() -> None:
    found = [*_pool("x", *["a"] * 4, gold="a"), *_pool("y", "b", "b", "b", "a", gold="a")]
    assert truth.right_of_n(found, 1) == pytest.approx(0.625)
    assert truth.right_of_n(found, 4) == 1.0 and truth.right_of_n(found, 8) is None


# --- the page


def _line(name: str, champion: float, candidate: float) -> dict[str, Any]:
    line: dict[str, Any] = {"name": name, "n": 300, "delta": candidate - champion, "ci_low": 0.1, "ci_high": 0.3}
    for arm, value in (("champion", champion), ("control", 0.2), ("candidate", candidate)):
        line |= {arm: value, f"{arm}_low": value - 0.05, f"{arm}_high": value + 0.05}
    return line


def _both(lift: float = 0.25) -> dict[str, Any]:
    return {
        "commit": "abc",
        "benchmarks": {"banking77": _line("banking77", 0.0, lift), "tickets": _line("tickets", 0.01, 0.5)},
        "trained": {"rows": 200, "right": 90, "intents": 60},
        "tasks": {
            "tickets": {"queries": 100, "examples": 150, "share": 0.4},
            "intents": {"queries": 200, "examples": 225, "share": 0.6},
        },
        "verdict": {"decision": "promote", "reasons": []},
        "seconds": {"generate": 100.0, "update": 200.0},
    }


def test_the_page_tells_both_tasks_and_how_right_the_picks_were() -> None:
    alone = {key(1, "1"): {"benchmark": _line("tickets", 0.01, 0.52)}}
    known = {
        key(1, second_task.JOINT): _both(),
        key(2, second_task.JOINT): {"commit": "abc", "refused": "nothing to learn", "seconds": {"update": 3.0}},
        key(1, second_task.EXPLORATION): {
            "commit": "abc",
            "queries": 55,
            "responses": 1300,
            "nearest": {"nearest_four": {"shown": 0.67, "first": 0.45}},
            "strategies": {"plain": {"responses": 100, "labels": 0.5, "right": 0.25, "found": 0.4}},
            "right_of_n": {"1": 0.2, "16": None},
            "by_vote": [{"share": 0.5, "queries": 40, "right": 20}],
            "tokens": 9000,
            "seconds": {"generate": 100.0},
        },
    }
    text = "\n".join(page.told(known, alone))
    assert (
        "| 1 | `banking77` | 300 | 0.0 [-5.0, 5.0] | 20.0 [15.0, 25.0] | 25.0 [20.0, 30.0] | +25.0 [+10.0, +30.0]"
        in text
    )
    assert "| 1 | `tickets` |" in text and "52.0 [47.0, 57.0]" in text
    assert "90 of 200" in text and "update refused: nothing to learn" in text and "| 3 | **missing**" in text
    assert "| `plain` | 100 | 50.0 | 25.0 | 40.0 |" in text and "| 50 % | 40 | 20 (50.0 %) |" in text


def test_the_claim_needs_every_seed_and_falls_with_either_task() -> None:
    every = {key(seed, second_task.JOINT): _both() for seed in SEEDS}
    assert page.claim({}) == (None, "")
    assert page.claim(every)[0] is True and "+25.0" in page.claim(every)[1]
    worse = {**every, key(2, second_task.JOINT): _both()}
    worse[key(2, second_task.JOINT)]["benchmarks"]["tickets"]["delta"] = -0.03
    assert page.claim(worse)[0] is False
    flat = {**every, key(1, second_task.JOINT): _both()}
    flat[key(1, second_task.JOINT)]["benchmarks"]["banking77"]["ci_low"] = -0.01
    assert page.claim(flat)[0] is False
    assert page.claim({**every, key(3, second_task.JOINT): {"refused": "no"}})[0] is False
