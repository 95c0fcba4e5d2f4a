"""A promotion by way of a canary: it begins in place of the move, and ends once, however many look at it."""

import asyncio
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tao_ops.config import Approval, GateConfig
from tao_ops.config.serve import CanaryConfig, ServeConfig
from tao_ops.database import connect
from tao_ops.errors import DataError, ModelError, RegistryError
from tao_ops.models import model_digest
from tao_ops.registry import BASE, Answer, CanaryOver, EventKind, Registry, open_registry, record
from tao_ops.registry.answers import Person, promote, reject, rollback
from tao_ops.registry.expiry import kept
from tao_ops.registry.looks import look, told
from tao_ops.serve.canary import record as canaries
from tao_ops.serve.canary.counting import Counting
from tao_ops.serve.canary.counts import Counts
from tao_ops.serve.canary.record import Canary, State
from tao_ops.serve.canary.watch import Watch
from tao_ops.serve.exchange import Arm
from tao_ops.stages import Run, gate, register
from tao_ops.submissions import Submission

LOW, MIDDLE, HIGH = ([1.0] * right + [0.0] * (100 - right) for right in (3, 50, 80))
ANA = Person("ana", "looks right")
AT_ONCE = CanaryConfig(time=timedelta(0), requests=10)
FILES = {
    "config.json": '{"architectures": ["Tiny"]}',
    "tokenizer.json": "{}",
    "tokenizer_config.json": '{"chat_template": "x"}',
}


class Shop:
    """A flywheel with a canary, and what servers count."""

    def __init__(self, new_turn: Callable[..., Any], approval: Approval = Approval.AUTO) -> None:
        self._new, self._approval = new_turn, approval
        self.said: list[str] = []
        self.run = self._run(20)[1]
        self.name, self.url = self.run.flywheel.name, self.run.database_url
        self.registry: Registry = open_registry(self.url, self.run.settings)

    def end(self, day: int, scores: list[float] = HIGH, champion: int = 0, before: str = "base") -> Any:
        """A whole turn; what register reports."""
        judged, run = self._run(day)
        folder = judged.folder / "made"
        folder.mkdir(parents=True)
        for name, text in {**FILES, "model.safetensors": f"weights of {day}"}.items():
            (folder / name).write_text(text, encoding="utf-8")
        candidate = model_digest(folder)
        shutil.move(folder, judged.folder / candidate)
        judged.evaluate(LOW, scores, versions=(before, candidate), champion_version=champion)
        gate.run(run)
        self.run = run
        return register.run(run).metrics

    def again(self) -> Any:
        return register.run(self.run).metrics

    def promote(self, version: int, **how: Any) -> Any:
        rest: dict[str, Any] = {"registry": self.registry, "lake": self.run.lake, "say": self.said.append}
        return promote(self.run.flywheel, version, ANA, now=datetime.now(UTC), **rest, **how)

    def count(self, canary: Canary | None, server: str = "a", **arms: Counts) -> None:
        assert canary is not None
        with connect(self.url) as connection:
            canaries.put_counts(connection, canary.id, server, {Arm(arm): counts for arm, counts in arms.items()})

    def look(self, version: int | None = None) -> Any:
        seen = look(self.name, version, registry=self.registry)
        return None if seen is None else told(seen)

    def kinds(self) -> list[str]:
        return [event.kind.value for event in self.registry.events(self.name)]

    def _run(self, day: int) -> tuple[Any, Run]:
        judged = self._new(day)
        serve = ServeConfig(canary=AT_ONCE)
        changes = {"gate": GateConfig(approval=self._approval), "serve": serve}
        return judged, replace(
            judged.run, flywheel=judged.run.flywheel.model_copy(update=changes), say=self.said.append
        )


@pytest.fixture
def shop(new_turn: Callable[..., Any]) -> Shop:
    return Shop(new_turn)


def good(n: int = 20) -> Counts:
    return Counts(requests=n, judged=n, answers=n, tokens=30 * n, squares=1000 * n, seconds=Counter({40: n}))


def bad(n: int = 200) -> Counts:
    return replace(good(n), errors=n // 4)


def test_a_promote_begins_a_canary_and_what_grows_is_the_champion(shop: Shop) -> None:
    metrics = shop.end(21)
    assert (metrics["alias"], metrics["canary"], metrics["decision"]) == (None, True, "promote")
    assert "the canary of version 1 begins; the champion stays version 0" in shop.said[-1]
    running = shop.registry.canary(shop.name)
    assert running is not None and (running.version, running.champion, running.share) == (1, BASE, 0.1)
    assert (running.turn, running.run_id) == ("2026-11-21T00:00Z", "manual__1") and running.limits == AT_ONCE
    # The stage, run again, finds it under way.
    assert shop.again() == metrics and shop.registry.canary(shop.name) == running
    shop.count(running, "a", champion=good(), candidate=good(6))
    assert shop.look()["outcome"] == "goes_on"
    shop.count(running, "a", champion=good(), candidate=good(7))  # the newest of a server replaces what it told
    shop.count(running, "b", shadow=good(3))  # another server's add up, and shadows are the candidate's
    found = shop.look(1)
    assert (found["state"], found["who"], found["servers"]) == ("grown", "canary", 2)
    assert found["counts"]["candidate"]["requests"] == 10
    assert shop.registry.champion_version(shop.name) == 1 and shop.registry.canary(shop.name) is None
    assert shop.kinds() == ["registered", "canary_started", "promote"]
    last = shop.registry.events(shop.name)[-1]
    assert (last.who, last.from_version, last.to_version) == ("canary", 0, 1) and "errors 0.0 % of 10" in last.why
    assert shop.look(1)["state"] == "grown" and len(shop.kinds()) == 3
    metrics = shop.again()
    assert (metrics["alias"], metrics.get("canary")) == ("champion", None)


def test_a_breach_is_taken_back_by_the_server_that_sees_it_and_stays_so(shop: Shop) -> None:
    shop.end(21)
    running = shop.registry.canary(shop.name)
    shop.count(running, "b", champion=good(1800), candidate=bad())
    counting = Counting(shop.run.flywheel)
    counting.follow(running)
    try:
        with connect(shop.url) as listening:
            listening.execute("listen tao_champion")
            seen = asyncio.run(Watch(shop.url, "a", counting).push())
            assert seen is not None and [note.payload for note in listening.notifies(timeout=5, stop_after=1)] == [
                shop.name
            ]
    finally:
        counting.close()
    assert shop.registry.canary(shop.name) is None and shop.registry.champion_version(shop.name) == BASE
    event = shop.registry.events(shop.name)[-1]
    assert (event.kind, event.who, event.version) == (EventKind.CANARY_ROLLED_BACK, "canary", 1)
    assert event.why.startswith("errors: 25.0 % of 200, champion 0.0 % of 1,800")
    assert shop.look(1)["state"] == "rolled_back" and shop.look(1)["why"] == event.why
    # Neither the turn, run again, nor a person who forces nothing begins another.
    assert (shop.again()["alias"], shop.again().get("canary")) == (None, None)
    assert "rejected" in shop.said[-1] and "by canary" in shop.said[-1]
    with pytest.raises(DataError, match="version 1 was rejected by canary .*errors: 25.0 %"):
        shop.promote(1)
    assert shop.promote(1, force=True).champion == 1


def test_a_server_whose_database_is_away_keeps_its_counts(shop: Shop) -> None:
    shop.end(21)
    counting = Counting(shop.run.flywheel)
    counting.follow(shop.registry.canary(shop.name))
    try:
        assert asyncio.run(Watch("postgresql://nobody@127.0.0.1:1/tao", "a", counting).push()) is None
        assert asyncio.run(Watch(shop.url, "a", counting).push()) is not None
        counting.follow(None)
        assert asyncio.run(Watch(shop.url, "a", counting).push()) is None
    finally:
        counting.close()


def test_a_look_that_fails_ends_no_server(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    counting, looks = Counting(shop.run.flywheel), 0

    async def fail(self: Watch) -> None:
        nonlocal looks
        looks += 1
        raise ValueError("what a user said")

    async def watch() -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                await Watch(shop.url, "a", counting).run()

    monkeypatch.setattr("tao_ops.serve.canary.watch.EVERY_S", 0.01)
    monkeypatch.setattr(Watch, "push", fail)
    asyncio.run(watch())
    assert looks > 1


def test_what_was_taken_back_in_between_does_not_grow(shop: Shop) -> None:
    shop.end(21)
    running = shop.registry.canary(shop.name)
    assert running is not None
    shop.registry.end_canary(running, State.ROLLED_BACK, who="canary", why="errors")
    with pytest.raises(CanaryOver):
        shop.registry.grow(running, why="no limit is broken")
    assert not shop.registry.end_canary(running, State.ENDED, who="canary", why="late")
    assert shop.kinds() == ["registered", "canary_started", "canary_rolled_back"]


def test_a_candidate_whose_files_have_changed_does_not_grow(shop: Shop) -> None:
    shop.end(21)
    shop.count(shop.registry.canary(shop.name), champion=good(), candidate=good())
    Path(shop.registry.ref(shop.name, 1).path, "model.safetensors").write_text("other")
    with pytest.raises(ModelError, match="its folder now holds"):
        shop.look()
    assert shop.registry.champion_version(shop.name) == BASE and shop.registry.canary(shop.name) is not None


def test_what_is_asked_too_little_ends_at_its_limit_and_the_champion_stays(shop: Shop) -> None:
    shop.end(21)
    with connect(shop.url) as connection:
        connection.execute("update canaries set since = since - interval '25 hours'")
    found = shop.look()
    assert (found["state"], found["who"], found["servers"]) == ("ended", "canary", 0)
    assert "candidate: 0 of 10 requests" in found["why"]
    assert shop.registry.champion_version(shop.name) == BASE and shop.kinds()[-1] == "canary_ended"


def test_a_newer_candidate_takes_its_place_and_a_rejected_one_does_not(shop: Shop) -> None:
    shop.end(21)
    assert shop.end(22, LOW)["decision"] != "promote"
    running = shop.registry.canary(shop.name)
    assert running is not None and running.version == 1
    shop.end(23)
    running = shop.registry.canary(shop.name)
    assert running is not None and running.version == 3
    assert shop.registry.canary_states(shop.name) == {1: State.SUPERSEDED, 3: State.RUNNING}
    ended = [event for event in shop.registry.events(shop.name) if event.kind is EventKind.CANARY_ENDED]
    assert [(event.version, event.why) for event in ended] == [(1, "version 3 took its place")]
    assert kept(shop.registry.versions(shop.name), shop.registry.events(shop.name), BASE, newest=0) >= {3}


@pytest.mark.parametrize("how", ["force", "rollback", "reject"])
def test_a_person_has_the_last_word(shop: Shop, how: str) -> None:
    rest: dict[str, Any] = {"registry": shop.registry, "say": shop.said.append}
    shop.end(21)
    shop.promote(1, force=True)
    assert shop.registry.canary_states(shop.name) == {1: State.GROWN}
    champion = shop.registry.champion(shop.name)
    assert champion is not None
    shop.end(22, HIGH, champion=1, before=champion.model_version)
    assert shop.registry.canary(shop.name) is not None
    if how == "force":
        assert shop.promote(2).canary and "under way" in shop.said[-1]
        shop.promote(2, force=True)
        assert shop.registry.canary_states(shop.name)[2] is State.GROWN
    elif how == "rollback":
        rollback(shop.run.flywheel, None, ANA, **rest)
        assert shop.registry.canary_states(shop.name)[2] is State.SUPERSEDED
        assert "ana made version 0 the champion: looks right" in shop.look(2)["why"]
    else:
        reject(shop.run.flywheel, 2, ANA, **rest)
        assert shop.registry.canary_states(shop.name)[2] is State.ROLLED_BACK and shop.look(2)["who"] == "ana"
    assert shop.registry.champion_version(shop.name) == {"force": 2, "rollback": 0, "reject": 1}[how]
    assert shop.registry.canary(shop.name) is None


def test_a_persons_yes_begins_a_canary_and_asks_nobody_again(new_turn: Callable[..., Any]) -> None:
    shop = Shop(new_turn, Approval.MANUAL)
    assert shop.end(21)["pending"]
    assert shop.registry.canary(shop.name) is None
    decided = shop.promote(1)
    assert (decided.canary, decided.changed, decided.champion) == (True, True, BASE)
    assert not shop.promote(1).changed
    assert record.answer(shop.registry.events(shop.name), 1) is Answer.CANARY
    metrics = shop.again()
    assert (metrics["pending"], metrics["canary"]) == (False, True)
    # Not where the registry itself is told to ask, either: whoever let that question run out would end the canary.
    folder = shop.run.lake.artifacts(shop.run.turn, shop.run.run_id)
    facts = [json.loads((folder / name).read_text(encoding="utf-8")) for name in ("candidate.json", "verdict.json")]
    made = Submission(shop.name, shop.run.turn.key, shop.run.run_id, facts[0], {}, facts[1], "")
    assert shop.registry.register(made, pending=True) == 1
    assert record.answer(shop.registry.events(shop.name), 1) is Answer.CANARY
    # Nobody's silence takes it back either.
    assert record.overdue(shop.registry.events(shop.name), timedelta(0), datetime.now(UTC) + timedelta(days=9)) == []
    shop.count(shop.registry.canary(shop.name), champion=good(1800), candidate=bad())
    assert shop.look()["state"] == "rolled_back"
    assert record.answer(shop.registry.events(shop.name), 1) is Answer.REJECTED
    assert shop.again()["pending"] is False


def test_limits_of_another_release_are_one_line(shop: Shop) -> None:
    shop.end(21)
    with connect(shop.url) as connection:
        connection.execute("""update canaries set limits = limits || '{"humour": 3}'::jsonb""")
    with pytest.raises(
        RegistryError, match="the canary of version 1 of .* has limits of another release .* same release"
    ):
        shop.registry.canary(shop.name)


@pytest.fixture
def nothing(database_url: str) -> Iterator[Any]:
    with connect(database_url) as connection:
        yield connection


def test_before_any_registry_there_is_no_canary(nothing: Any) -> None:
    assert canaries.current(nothing, "tickets") is None
