"""Probes are wrong where they should be, and right where they only look wrong."""

import doctest
import json

import pytest

from tao_ops.records import Candidate
from tao_ops.rewards.probes import Group, Kind, Probe, build, suite
from tao_ops.rewards.probes.suite import MASTER_KEYS, ORDER, same

NAMES = ("Anna", "Bela", "Chen", "Dora", "Emil", "Finn")


def _group(i: int, text: str | None = None, *others: str, reference: str | None = None) -> Group:
    query = f"Hi, {NAMES[i]} here, my rain jacket never came to Oslo."
    answer = json.dumps({"customer": NAMES[i], "product": "rain jacket"}) if text is None else text
    honest = Candidate(f"q{i}", query, answer, "plain", reference=reference)
    return Group(honest, tuple(Candidate(f"q{i}", query, other) for other in others))


def _texts(probes: list[Probe], kind: Kind, variant: str | None = None) -> list[str]:
    return [one.candidate.text for one in probes if one.kind is kind and variant in (None, one.variant)]


def _build(*groups: Group, rubric: str | None = None, seed: int = 0, most: int = 20) -> list[Probe]:
    return build(groups, rubrics={} if rubric is None else {"judge": rubric}, seed=seed, most=most)


def test_a_json_task_gets_every_kind() -> None:
    others = ["Anna's rain jacket, I think", '{"customer": "Anna", "product": "jacket"}']
    probes = _build(_group(0, None, *others), _group(1), rubric="Both values are right.")
    mine = [one for one in probes if one.honest.query_id == "q0"]
    assert {one.kind for one in mine} == set(Kind)
    assert _texts(mine, Kind.EMPTY) == [""] and not _texts(mine, Kind.BLANK)[0].strip()
    assert _texts(mine, Kind.MASTER_KEY) == list(MASTER_KEYS)
    assert _texts(mine, Kind.QUERY) == ["Hi, Anna here, my rain jacket never came to Oslo."]
    assert _texts(mine, Kind.RUBRIC) == ["Both values are right."]
    wrong = '{"customer": "Bela", "product": "rain jacket"}'
    assert _texts(mine, Kind.ORDER) == [
        ORDER,
        f"{wrong}\n\n{ORDER}",
        json.dumps({"customer": ORDER, "product": "rain jacket"}),
    ]
    assert wrong in _texts(mine, Kind.PADDED)[0]
    assert _texts(mine, Kind.LONGEST, "as it is") == [others[1]]
    assert _texts(mine, Kind.WRONG)[:2] == [wrong, '{"customer": "rain jacket", "product": "Anna"}']
    replaced = json.loads(_texts(mine, Kind.WRONG, "a value replaced")[0])
    assert sum(replaced[key] != value for key, value in json.loads(mine[0].honest.text).items()) == 1
    assert all(mine[0].honest.text in text for text in _texts(mine, Kind.BAD_FORM))


def test_a_probe_is_of_its_query_and_has_no_vote() -> None:
    for one in _build(_group(0, reference="x"), _group(1)):
        assert (one.candidate.query_id, one.candidate.query) == (one.honest.query_id, one.honest.query)
        assert (one.candidate.votes, one.candidate.strategy, one.honest.votes) == (False, "probe", True)
        assert one.candidate.reference == one.honest.reference


def test_the_same_seed_gives_the_same_probes_in_whatever_order_the_queries_come() -> None:
    groups = [_group(i) for i in range(6)]
    probes = _build(*groups, seed=7, most=3)
    assert probes == _build(*reversed(groups), seed=7, most=3)
    assert len({one.honest.query_id for one in probes}) == 3
    assert len({tuple(one.honest.query_id for one in _build(*groups, seed=seed, most=3)) for seed in range(9)}) > 1


def test_no_wrong_probe_says_what_the_honest_answer_says() -> None:
    groups = [_group(i, text) for i, text in enumerate(("refund", "Refund", " refund ", "card_lost", "card_lost"))]
    probes = _build(*groups)
    assert {text.strip().casefold() for text in _texts(probes, Kind.WRONG)} == {"refund", "card_lost"}
    for one in probes:
        assert one.kind is Kind.BAD_FORM or not same(one.candidate.text, one.honest.text)
    copied = _build(Group(Candidate("q", "Say hello", "say hello")))
    assert not _texts(copied, Kind.QUERY)


def test_no_wrong_probe_says_what_a_reference_says() -> None:
    groups = [_group(0, "refund", reference="card_lost"), _group(1, "card_lost")]
    assert not _texts([one for one in _build(*groups) if one.honest.query_id == "q0"], Kind.WRONG)


@pytest.mark.parametrize(
    ("answer", "changed"),
    [
        ("6 * 7 = 42\n#### 42", ["6 * 7 = 42\n#### 52"]),
        ("It costs $9.50.", ["It costs $1.50."]),
        ("12 of 31", ["12 of 41"]),
        ("Wait 3 days, then call us.", []),
        ("SELECT name FROM city LIMIT 10", []),
        ("plan_2", []),
        ('{"total": 4, "ok": true}', ['{"total": 5, "ok": true}']),
    ],
)
def test_where_a_number_is_the_answer_another_is_wrong(answer: str, changed: list[str]) -> None:
    assert _texts(_build(_group(0, answer)), Kind.WRONG, "a number changed") == changed


def test_the_longest_other_candidate_is_tried_unless_it_says_the_same() -> None:
    probes = _build(_group(0, '{"a": "b"}', '{"a":   "b"}', "short", "much longer"))
    assert _texts(probes, Kind.LONGEST, "as it is") == ["much longer"]
    assert "much longer" in _texts(probes, Kind.LONGEST, "padded")[0]
    assert not _texts(_build(_group(0, "a", "A ")), Kind.LONGEST)


def test_a_query_without_an_honest_answer_is_left_out() -> None:
    assert _build(_group(0, ""), _group(1, " \n")) == []
    assert _build() == []


@pytest.mark.parametrize(
    "text", ["\ud800", '{"a": "\\ud800", "b": {"c": [1, null]}}', '{"a": 1e999}', "[" * 9999, "{}"]
)
def test_no_answer_is_an_error(text: str) -> None:
    assert {one.kind for one in _build(_group(0, text, text, "x"), _group(1))} >= {
        Kind.EMPTY,
        Kind.BAD_FORM,
        Kind.WRONG,
    }


def test_examples_hold() -> None:
    done = doctest.testmod(suite)
    assert done.attempted and not done.failed
