"""The scorers of a task, together."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from tao_ops.config import ScorerConfig
from tao_ops.errors import ConfigError
from tao_ops.records import Candidate
from tao_ops.rewards import Scored, Setting, TaskScorers, cheap
from tao_ops.rewards.scorers import rubrics

_SCORER: TypeAdapter[ScorerConfig] = TypeAdapter(ScorerConfig)


def _configs(*told: dict[str, Any]) -> list[ScorerConfig]:
    return [_SCORER.validate_python(one) for one in told]


def _score(batch: list[Candidate], *told: dict[str, Any], include: Path = Path()) -> list[Scored]:
    return TaskScorers(_configs(*told), Setting(include)).score(batch)


EXAMPLE = ({"name": "json_schema", "keys": ["city"]}, {"name": "grounding", "keys": ["city"]}, {"name": "consensus"})


def test_each_entry_gives_its_score_and_together_they_are_one_reward() -> None:
    texts = ('{"city": "Oslo"}', '{"city": "Oslo"}', '{"city": "Rome"}', "Oslo", " ")
    batch = [Candidate("q", "I live in Oslo now.", text) for text in texts]
    right, _, wrong, prose, blank = _score(batch, *EXAMPLE)
    assert right.scores == {"json_schema": 1.0, "grounding": 1.0, "consensus": pytest.approx(0.875)}
    assert right.reward == pytest.approx((1 + 0.875) / 2) and right.verified == 1.0
    assert wrong.vetoed and wrong.reward == 0.0 and wrong.scores["grounding"] == 0.0
    assert prose.vetoed and prose.reward == 0.0
    assert blank.flags == ("empty",) and blank.reward == 0.0 and blank.answer == ""
    assert _score([], *EXAMPLE) == []


def test_what_could_not_be_decided_has_its_reason_and_is_no_zero() -> None:
    (one,) = _score([Candidate("q", "2 + 2?", "4")], {"name": "numeric"}, {"name": "consensus", "answer": "number"})
    assert one.undecided == {"numeric": "no reference", "consensus": "too few candidates to compare with"}
    assert one.scores == {} and one.reward is None and not one.vetoed


def test_what_could_not_be_checked_is_worth_less_than_what_was_and_more_than_what_failed(tmp_path: Path) -> None:
    code = "def score(batch):\n    return [{'right': 1.0, 'wrong': 0.0}.get(c.text) for c in batch]\n"
    (tmp_path / "own.py").write_text(code, encoding="utf-8")
    own = {"name": "mine", "kind": "own", "file": "own.py", "verifier": True}
    batch = [Candidate("q", "", text) for text in ("right", "wrong", "never ends")]
    right, wrong, endless = _score(batch, own, include=tmp_path)
    assert (right.reward, wrong.reward) == (1.0, 0.0)
    assert endless.scores == {} and endless.reward is None  # nothing at all is known of it
    ranked = _score([*batch, *batch], own, {"name": "consensus", "answer": "text"}, include=tmp_path)
    rewards = [one.reward or 0.0 for one in ranked[:3]]
    assert rewards[0] > rewards[2] > rewards[1] == 0.0 and rewards[2] < 0.5
    alone = _score([Candidate("q2", "", "never ends")] * 2, own, {"name": "consensus"}, include=tmp_path)
    assert alone[0].reward is not None and alone[0].reward > 0.9  # nobody's was checked: the others decide


def test_known_holes_stay_closed() -> None:
    """A part of a name that a longer one holds, and a blank before a value, once had full marks."""
    query = "Hi, Anna here, my rain jacket is late."
    texts = ('{"product": "rain jacket"}', '{"product": "jacket"}', '{"product": " rain jacket"}')
    batch = [Candidate("q", query, text) for text in (*texts, *texts)]
    scorers = ({"name": "json_schema", "keys": ["product"]}, {"name": "grounding", "keys": ["product"]})
    whole, part, blank, *_ = _score(batch, *scorers, {"name": "consensus"})
    assert whole.reward is not None and whole.reward > 0.6
    assert (part.reward, blank.reward) == (0.0, 0.0)


def test_the_tasks_own_schema_is_checked_where_the_entry_names_none(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text('{"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}')
    configs = _configs({"name": "json_schema"})
    batch = [Candidate("q", "", text) for text in ('{"n": 1}', '{"n": "1"}')]
    scored = TaskScorers(configs, Setting(tmp_path, "s.json")).score(batch)
    assert [one.scores["json_schema"] for one in scored] == [1.0, 0.0]
    with pytest.raises(ConfigError, match=r"no schema to check \[scorer 'json_schema'\] — give it 'keys' or a 'file'"):
        TaskScorers(configs, Setting(tmp_path))


def test_what_a_flag_rejects_has_no_vote_and_no_reward() -> None:
    batch = [Candidate("q", "Where?", text) for text in ("I cannot help with that.",) * 3 + ("Oslo", "Oslo")]
    scored = _score(batch, {"name": "refusal", "rejects": True}, {"name": "consensus", "answer": "text"})
    assert [one.reward for one in scored[:3]] == [0.0] * 3 and scored[0].flags == ("refusal",)
    assert scored[3].scores["consensus"] == pytest.approx(0.875)  # two of the two that count


def test_only_what_asks_no_model_is_cheap(tmp_path: Path) -> None:
    configs = _configs(
        *EXAMPLE,
        {"kind": "judge", "name": "tone", "rubric": "r.txt"},
        {"kind": "own", "name": "a", "file": "a.py", "verifier": True},
        {"kind": "own", "name": "b", "file": "b.py"},
        {"name": "refusal"},
    )
    assert [config.name for config in cheap(configs)] == ["json_schema", "grounding", "consensus", "a", "refusal"]
    (tmp_path / "r.txt").write_text(" Be kind. \n")
    assert rubrics(configs, Setting(tmp_path)) == {"tone": "Be kind."}


@pytest.mark.parametrize("text", ["", None])
def test_a_rubric_that_cannot_be_used_is_an_error_with_its_file(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "r.txt").write_text(text)
    with pytest.raises(ConfigError, match=r"r\.txt"):
        TaskScorers(_configs({"kind": "judge", "name": "tone", "rubric": "r.txt"}), Setting(tmp_path))


BAD_TEXTS = ("", "\ud800", "\0", "[" * 1000 + "]" * 1000, '{"city": ' * 1000, "9" * 5000, "x" * 1_000_000, "NaN")


@pytest.mark.parametrize("name", ["json_schema", "grounding", "consensus", "numeric", "regex", "label", "instructions"])
def test_no_response_makes_a_scorer_fail(name: str) -> None:
    told: dict[str, dict[str, Any]] = {
        "json_schema": {"keys": ["city"]},
        "grounding": {"numbers": True},
        "numeric": {},
        "consensus": {"answer": "number"},
        "regex": {"pattern": r"(a|b)*\d+"},
        "label": {"labels": ["x"]},
        "instructions": {"constraints": [{"id": "punctuation:no_comma"}]},
    }
    batch = [Candidate("q", query, text, reference="4") for query in ("2 + 2 = 4", "\ud800 4") for text in BAD_TEXTS]
    scored = _score(batch, {"name": name, **told[name]})
    assert len(scored) == len(batch)
    for one in scored:
        assert set(one.scores) | set(one.undecided) == {name}
    assert json.dumps([one.undecided for one in scored])
