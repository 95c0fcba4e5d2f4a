"""What is counted of an exchange, and what is not: never the client's doing, never another version's."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tao_ops.config import Flywheel, load_flywheel
from tao_ops.config.serve import CanaryConfig
from tao_ops.serve.canary.counting import Counting, candidate_of
from tao_ops.serve.canary.counts import Counts
from tao_ops.serve.canary.record import Canary, State
from tao_ops.serve.exchange import Arm, Exchange
from tao_ops.settings import PROJECT, Settings

AT = datetime(2026, 11, 21, tzinfo=UTC)
ASKED = "Anna Berg here, the blue lamp that I ordered to Oslo is late"


def canary(number: int = 1) -> Canary:
    ends = {"who": None, "why": None, "ended_at": None}
    made = {"turn": None, "run_id": None, "share": 0.1, "shadow": 0.0, "limits": CanaryConfig()}
    return Canary(number, "tickets", 4, 3, since=AT, state=State.RUNNING, elapsed=timedelta(0), **made, **ends)  # type: ignore[arg-type]


def exchange(text: str | None = "{}", **told: Any) -> Exchange:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    base: dict[str, Any] = {
        "request_id": "req-1",
        "received_at": AT,
        "route": "/v1/chat/completions",
        "status": 200,
        "request": {"messages": [{"role": "user", "content": ASKED}]},
        "response": {"choices": [choice]},
        "whole": True,
        "user": "anna",
        "task": "tickets",
        "arm": Arm.CANDIDATE,
        "version": 4,
        "model_version": "m4",
        "seconds": 0.5,
        "first_seconds": 0.1,
        "prompt_tokens": 9,
        "tokens": 12,
    }
    return Exchange(**{**base, **told})


@pytest.fixture
def flywheel() -> Flywheel:
    return load_flywheel("tickets", replace(Settings.from_env(), include=PROJECT / "include"))


@pytest.fixture
def counting(flywheel: Flywheel) -> Iterator[Counting]:
    made = Counting(flywheel)
    made.follow(canary())
    yield made
    made.close()


def seen(counting: Counting) -> dict[Arm, Counts]:
    counting.settle()
    found = counting.counts()
    assert found is not None
    return found[1]


def test_an_answer_is_counted_with_its_seconds_tokens_form_and_words(counting: Counting) -> None:
    counting(exchange("I'm sorry, but I can't help with that."))
    counting(exchange('{"wrong": 1}', arm=Arm.SHADOW, seconds=2.0, first_seconds=None, tokens=None))
    counting(exchange("{}", arm=Arm.CHAMPION, version=3))
    found = seen(counting)
    mine = found[Arm.CANDIDATE]
    assert (mine.requests, mine.errors, mine.judged, mine.refused) == (1, 0, 1, 1)
    assert (mine.formatted, mine.invalid) == (1, 1)
    assert (mine.answers, mine.tokens, mine.squares) == (1, 12, 144)
    assert sum(mine.seconds.values()) == sum(mine.first_seconds.values()) == 1
    shadow = found[Arm.SHADOW]
    assert (shadow.requests, shadow.refused, shadow.invalid, shadow.answers) == (1, 0, 1, 0)
    assert found[Arm.CHAMPION].requests == 1
    assert Counts.of(mine.as_dict()) == mine


def test_a_right_answer_of_the_right_form_is_told_from_a_wrong_one(counting: Counting) -> None:
    counting(exchange('{"customer": "Bo", "product": "a red chair", "city": "Rome"}'))
    counting(exchange('{"customer": "Anna Berg", "product": "blue lamp", "city": "Oslo"}'))
    found = seen(counting)[Arm.CANDIDATE]
    assert (found.formatted, found.invalid, found.verified, found.incorrect) == (2, 0, 2, 1)


def test_the_engines_failures_are_errors_and_the_clients_doings_nothing(counting: Counting) -> None:
    counting(exchange(status=503, response={"error": {"message": "broke"}}))
    counting(exchange(whole=False, response={"choices": [], "error": {"message": "the engine broke off"}}))
    counting(exchange(status=400, response={"error": {}}))
    counting(exchange(whole=False))
    counting(exchange(status=0, whole=False, response=None))
    found = seen(counting)[Arm.CANDIDATE]
    assert (found.requests, found.errors, found.judged) == (2, 2, 0)


def test_another_version_or_no_canary_counts_nothing(counting: Counting) -> None:
    counting(exchange(version=3))
    counting(exchange(version=4, arm=Arm.CHAMPION))
    counting(exchange(version=None, status=503))
    assert all(each == Counts() for each in seen(counting).values())
    counting.follow(None)
    counting(exchange())
    assert counting.counts() is None


def test_another_canary_begins_at_nothing_and_the_same_goes_on(counting: Counting) -> None:
    counting(exchange())
    counting.follow(canary())
    assert seen(counting)[Arm.CANDIDATE].requests == 1
    counting.follow(None)  # its engine is away for a while
    counting.follow(canary())
    assert seen(counting)[Arm.CANDIDATE].requests == 1
    counting.follow(canary(2))
    assert seen(counting)[Arm.CANDIDATE].requests == 0


def test_a_scorer_that_trips_ends_nothing(counting: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    def trip(*_: Any, **__: Any) -> Any:
        raise RecursionError

    with monkeypatch.context() as patch:
        patch.setattr("tao_ops.serve.canary.counting.TaskScorers.score", trip)
        counting(exchange())
        assert seen(counting)[Arm.CANDIDATE].dropped == 1
    counting(exchange())
    found = seen(counting)[Arm.CANDIDATE]
    assert (found.requests, found.judged, found.dropped) == (2, 1, 1)


def test_what_finds_the_queue_full_is_dropped_and_counted(flywheel: Flywheel, monkeypatch: pytest.MonkeyPatch) -> None:
    counting, begun, go_on = Counting(flywheel, waiting=1), threading.Event(), threading.Event()

    def slow(_: Exchange) -> Counts:
        begun.set()
        go_on.wait(60)
        return Counts()

    monkeypatch.setattr(counting, "_judged", slow)
    counting.follow(canary())
    counting(exchange())
    assert begun.wait(60)
    counting(exchange())  # waits
    counting(exchange())
    found = counting.counts()
    assert found is not None
    assert (found[1][Arm.CANDIDATE].requests, found[1][Arm.CANDIDATE].dropped) == (3, 1)
    go_on.set()
    counting.close()


def test_the_conversation_is_read_without_prompts_in_parts_too() -> None:
    messages = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": "yes?"},
        {"role": "user", "content": [{"type": "text", "text": "my "}, {"type": "text", "text": "lamp"}]},
    ]
    found = candidate_of(exchange("here", request={"messages": messages}))
    assert found is not None
    assert (found.query, found.context, found.text) == ("my lamp", "hello\n\nyes?", "here")
    plain = candidate_of(exchange(request={"prompt": "once"}, response={"choices": [{"text": "upon"}]}))
    assert plain is not None and (plain.query, plain.text) == ("once", "upon")
    assert candidate_of(exchange(None)) is None
