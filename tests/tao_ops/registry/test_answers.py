"""What a person decides: once, under the lock, with the reason kept; and what is refused, the champion staying."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tao_ops import champions
from tao_ops.config import Approval, GateConfig
from tao_ops.errors import ConfigError, DataError, ModelError
from tao_ops.models import model_digest
from tao_ops.registry import Answer, EventKind, Registry, open_registry, record
from tao_ops.registry.answers import Decided, Person, promote, reject, rollback
from tao_ops.registry.record import TIME_LIMIT
from tao_ops.stages import Run, gate, register

LOW, MIDDLE, GOOD, HIGH = ([1.0] * right + [0.0] * (100 - right) for right in (3, 50, 65, 80))
ANA = Person("ana", "looks right")
FILES = {
    "config.json": '{"architectures": ["Tiny"]}',
    "tokenizer.json": "{}",
    "tokenizer_config.json": '{"chat_template": "x"}',
}


class Turns:
    """Turns of one flywheel that have ended, and the answers to them."""

    def __init__(self, new_turn: Callable[..., Any], approval: Approval) -> None:
        self._new, self._approval = new_turn, approval
        self.said: list[str] = []
        self.run: Run = self._at(20)[1]
        self.name = self.run.flywheel.name
        self.registry: Registry = open_registry(self.run.database_url, self.run.settings)

    def judged(self, day: int, champion: tuple[int, str, list[float]], scores: list[float]) -> tuple[Run, str]:
        """A turn up to its gate; its run, and its candidate's model_version."""
        judged, run = self._at(day)
        folder = judged.folder / "made"
        folder.mkdir(parents=True)
        for name, text in {**FILES, "model.safetensors": f"weights of {day}"}.items():
            (folder / name).write_text(text, encoding="utf-8")
        candidate = model_digest(folder)
        shutil.move(folder, judged.folder / candidate)
        version, model, before = champion
        judged.evaluate(before, scores, versions=(model, candidate), champion_version=version)
        gate.run(run)
        return run, candidate

    def end(self, day: int, champion: tuple[int, str, list[float]], scores: list[float]) -> tuple[int, str]:
        """A whole turn: the version that it made, and its model_version."""
        run, candidate = self.judged(day, champion, scores)
        return register.run(run).metrics["version"], candidate

    def promote(self, version: int, person: Person = ANA, *, later: timedelta = timedelta(0), **how: Any) -> Decided:
        rest: dict[str, Any] = {"registry": self.registry, "lake": self.run.lake, "say": self.said.append}
        return promote(self.run.flywheel, version, person, now=datetime.now(UTC) + later, **rest, **how)

    def reject(self, version: int, person: Person = ANA) -> Decided:
        return reject(self.run.flywheel, version, person, registry=self.registry, say=self.said.append)

    def rollback(self, to: int | None = None, person: Person = ANA) -> Decided:
        return rollback(self.run.flywheel, to, person, registry=self.registry, say=self.said.append)

    @property
    def champion(self) -> int:
        return self.registry.champion_version(self.name)

    def answer(self, version: int) -> Answer | None:
        return record.answer(self.registry.events(self.name), version)

    def _at(self, day: int) -> tuple[Any, Run]:
        judged = self._new(day)
        flywheel = judged.run.flywheel.model_copy(update={"gate": GateConfig(approval=self._approval)})
        return judged, replace(judged.run, flywheel=flywheel, say=self.said.append)


@pytest.fixture
def manual(new_turn: Callable[..., Any]) -> Turns:
    return Turns(new_turn, Approval.MANUAL)


@pytest.fixture
def auto(new_turn: Callable[..., Any]) -> Turns:
    return Turns(new_turn, Approval.AUTO)


def _base(scores: list[float] = LOW) -> tuple[int, str, list[float]]:
    return (0, "base", scores)


def test_a_pending_version_that_is_approved_is_the_champion_and_the_answer_is_told(manual: Turns) -> None:
    version, _ = manual.end(20, _base(), HIGH)
    assert manual.champion == 0
    assert manual.promote(version) == Decided(1, 0, changed=True)
    assert manual.promote(version) == Decided(1, 1, changed=False)
    last = manual.registry.events(manual.name)[-1]
    assert (last.kind, last.who, last.why, last.from_version, last.to_version) == (
        EventKind.PROMOTE,
        "ana",
        "looks right",
        0,
        1,
    )
    assert manual.answer(1) is Answer.APPROVED


def test_a_pending_version_that_is_rejected_stays_so_unless_it_is_forced(manual: Turns) -> None:
    manual.end(20, _base(), HIGH)
    assert manual.reject(1, Person("ben", "too terse")).changed
    assert not manual.reject(1).changed
    with pytest.raises(DataError, match=r"rejected by ben at .*: too terse .*--force"):
        manual.promote(1)
    assert manual.champion == 0
    manual.promote(1, force=True)
    assert manual.champion == 1
    assert manual.registry.events(manual.name)[-1].why == (
        "looks right (forced: the gate's verdict was promote; rejected by ben)"
    )
    with pytest.raises(DataError, match="waits for no approval: it is the champion .*rollback"):
        manual.reject(1)


def test_nobody_approves_what_waited_for_too_long(manual: Turns) -> None:
    manual.end(20, _base(), HIGH)
    limit = manual.run.flywheel.gate.approval_limit
    with pytest.raises(DataError, match="version 1 is rejected by now: nobody answered within 20:00:00"):
        manual.promote(1, later=limit + timedelta(minutes=1))
    assert (manual.champion, manual.answer(1)) == (0, Answer.REJECTED)
    assert manual.registry.events(manual.name)[-1].who == TIME_LIMIT


def test_what_was_taken_back_is_promoted_again_by_force_alone(manual: Turns) -> None:
    manual.end(20, _base(), HIGH)
    manual.promote(1)
    manual.rollback(person=Person("ben", "complaints"))
    told = r"version 1 was promoted at .*, and taken back by ben at .*: complaints .*rollback \S+ --to 1.*--force"
    with pytest.raises(DataError, match=told):
        manual.promote(1)
    assert manual.champion == 0
    manual.promote(1, force=True)
    assert manual.champion == 1


def test_a_promotion_that_a_later_one_took_the_place_of_is_not_repeated(auto: Turns) -> None:
    _, first = auto.end(20, _base(), GOOD)
    auto.end(21, (1, first, GOOD), HIGH)
    with pytest.raises(DataError, match=r"version 1 was promoted at .*, and replaced by version 2 at "):
        auto.promote(1)
    assert auto.champion == 2


@pytest.mark.parametrize("promoted", [True, False])
def test_the_end_of_the_time_changes_no_answer(manual: Turns, *, promoted: bool) -> None:
    manual.end(20, _base(), HIGH)
    (manual.promote if promoted else manual.reject)(1)
    champion, events = manual.champion, len(manual.registry.events(manual.name))
    late = Person(TIME_LIMIT, "nobody answered within 20:00:00")
    assert manual.reject(1, late) == Decided(champion, champion, changed=False)
    assert len(manual.registry.events(manual.name)) == events


@pytest.mark.parametrize(("scores", "champion"), [(HIGH, 2), (MIDDLE, 1)])
def test_an_approval_after_the_champion_moved_is_decided_again(
    manual: Turns, scores: list[float], champion: int
) -> None:
    # Both were judged against the base model; the first is approved with 65 right of 100.
    first, second = (manual.judged(day, _base(), right)[0] for day, right in ((20, GOOD), (21, scores)))
    for run in (first, second):
        register.run(run)
    manual.promote(1)
    if champion == 2:
        manual.promote(2)
    else:
        with pytest.raises(DataError, match="against the champion of now, version 1, the verdict on version 2 is"):
            manual.promote(2)
    assert manual.champion == champion
    assert any("moved from version 0 to 1" in line for line in manual.said)


def test_a_version_that_the_gate_did_not_promote_needs_force(auto: Turns) -> None:
    auto.end(20, _base(HIGH), LOW)
    with pytest.raises(DataError, match="verdict on version 1 is reject .*--force"):
        auto.promote(1)
    auto.promote(1, Person("ana", "a demonstration"), force=True)
    assert auto.champion == 1
    assert auto.registry.events(auto.name)[-1].why == "a demonstration (forced: the gate's verdict was reject)"
    with pytest.raises(DataError, match="waits for no approval: it is the champion"):
        auto.reject(1)


def test_a_rollback_restores_the_champion_before_and_the_next_turn_starts_from_it(auto: Turns) -> None:
    _, first = auto.end(20, _base(), GOOD)
    _, second = auto.end(21, (1, first, GOOD), HIGH)
    assert auto.champion == 2

    def start() -> tuple[int | None, str]:
        found = champions.champion(auto.run.flywheel, auto.run.database_url, auto.run.settings)
        return found.version, found.model_version

    assert start() == (2, second)
    assert auto.rollback() == Decided(1, 2, changed=True)
    assert start() == (1, first)
    assert auto.rollback(1) == Decided(1, 1, changed=False)
    assert auto.rollback(2).champion == 2  # forth again, on purpose
    assert auto.rollback(0).champion == 0
    with pytest.raises(DataError, match="champion of .* is version 0: there is none before it"):
        auto.rollback()
    moves = [(e.from_version, e.to_version) for e in auto.registry.events(auto.name) if e.kind is EventKind.ROLLBACK]
    assert moves == [(2, 1), (1, 2), (2, 0)]


def test_what_cannot_be_restored_is_refused_and_the_champion_stays(auto: Turns) -> None:
    _, first = auto.end(20, _base(), GOOD)
    _, second = auto.end(21, (1, first, GOOD), HIGH)
    auto.end(22, (2, second, HIGH), LOW)
    with pytest.raises(DataError, match=r"version 3 never was the champion .*promote"):
        auto.rollback(3)
    with pytest.raises(DataError, match="no version 9"):
        auto.rollback(9)
    folder = Path(auto.registry.ref(auto.name, 1).path)
    (folder / "model.safetensors").write_text("other weights", encoding="utf-8")
    with pytest.raises(ModelError, match=f"was registered as {first}, its folder now holds"):
        auto.rollback()
    shutil.rmtree(folder)
    with pytest.raises(ModelError, match="it does not exist"):
        auto.rollback()
    assert auto.champion == 2


@pytest.mark.parametrize("person", [("", "why"), ("who", " ")])
def test_nobody_decides_without_a_name_and_a_reason(person: tuple[str, str]) -> None:
    with pytest.raises(ConfigError, match="is empty"):
        Person(*person)


def test_the_base_model_is_no_version_to_promote(auto: Turns) -> None:
    with pytest.raises(ConfigError, match="rollback .* --to 0"):
        auto.promote(0)
