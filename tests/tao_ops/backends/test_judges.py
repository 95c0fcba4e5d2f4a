"""A judge behind a server that does everything wrong that servers do."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from tao_ops.backends import judges, retries
from tao_ops.backends.judges import ServerJudge
from tao_ops.config import ServerConfig
from tao_ops.errors import ConfigError, EngineError
from tao_ops.records import Message
from tests.tao_ops.backends.faulty_server import (
    Action,
    FaultyServer,
    answer,
    choice,
    drips,
    drops,
    good,
    html,
    likeliest,
    refuses,
    running,
    says,
    stalls,
)

WORDS = ("Yes", "No")
YES = likeliest({"Yes": math.log(0.6), " yes": math.log(0.1), "No": math.log(0.2), "Well": math.log(0.05)})
SOON = 10
"""Seconds: far less than what the server stalls for, and enough for a busy machine."""
Start = Callable[..., ServerJudge]
pytestmark = pytest.mark.timeout(30)


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with running() as started:
        started.always = YES
        yield started


@pytest.fixture
def said() -> list[str]:
    """What the judge has said of itself."""
    return []


@pytest.fixture
def start(server: FaultyServer, said: list[str], monkeypatch: pytest.MonkeyPatch) -> Start:
    """Makes a judge of the server; waits between attempts are short."""
    monkeypatch.setattr(retries, "FIRST_WAIT", 0.01)

    def make(**config: Any) -> ServerJudge:
        told = {"url": server.url, "model": "m", "attempts": 2, "timeout": 5.0, "concurrency": 2, **config}
        return ServerJudge(ServerConfig(**told), say=said.append)

    return make


def ask(judge: ServerJudge, *texts: str) -> list[Mapping[str, float] | str]:
    asked: list[list[Message]] = [[{"role": "user", "content": text}] for text in texts or ("a",)]
    return judge.next_word(asked, WORDS)


def likely(found: Mapping[str, float] | str) -> dict[str, float]:
    assert not isinstance(found, str), found
    return {word: round(math.exp(logprob), 6) for word, logprob in found.items()}


def test_all_ways_to_write_a_word_count(start: Start) -> None:
    assert [likely(one) for one in ask(start(), "a", "b")] == [{"Yes": 0.7, "No": 0.2}] * 2


def test_it_asks_for_the_likeliest_of_one_token(server: FaultyServer, start: Start) -> None:
    ask(start())
    [body] = server.chats
    assert (body["max_tokens"], body["temperature"], body["logprobs"], body["top_logprobs"]) == (1, 0.0, True, 20)


def test_verdicts_come_in_the_order_of_the_questions(server: FaultyServer, start: Start) -> None:
    def by_text(handler: Any, body: dict[str, Any]) -> None:
        number = int(body["messages"][-1]["content"])
        time.sleep(0.02 * (number % 3))
        likeliest({"Yes": math.log((number + 1) / 10)})(handler, body)

    server.always = by_text
    found = ask(start(concurrency=4), *map(str, range(9)))
    assert [likely(one)["Yes"] for one in found] == pytest.approx([(i + 1) / 10 for i in range(9)])
    assert server.most_at_once <= 4


def test_nothing_asked_is_nothing_sent(server: FaultyServer, start: Start) -> None:
    assert start().next_word([], WORDS) == [] and server.chats == []


def test_none_of_the_words_is_an_empty_verdict(server: FaultyServer, start: Start) -> None:
    server.always = likeliest({"The": -0.1, "As": -3.0})
    assert ask(start()) == [{}]


@pytest.mark.parametrize(
    "action",
    [
        likeliest(None),
        likeliest({}),
        good,  # the sampled token's own, and no other's: from that alone no share can be told
        says(answer([choice("Yes", logprobs={"content": []})])),
        says(answer([choice("Yes", logprobs={"content": [{"token": "Yes", "logprob": -0.1, "top_logprobs": None}]})])),
    ],
)
def test_a_server_that_tells_no_log_probabilities_gives_no_verdict(
    server: FaultyServer, start: Start, action: Action
) -> None:
    server.always = action
    assert ask(start()) == ["the server tells no log-probabilities"]


def test_a_server_that_refuses_log_probabilities_is_asked_no_more(server: FaultyServer, start: Start) -> None:
    server.always = refuses("'logprobs' is not supported with this model")
    assert ask(start(concurrency=1), "a", "b", "c") == ["the server tells no log-probabilities"] * 3
    assert len(server.chats) == 1


def test_a_server_that_gives_fewer_is_asked_for_fewer(server: FaultyServer, start: Start) -> None:
    def at_most_five(handler: Any, body: dict[str, Any]) -> None:
        refusal = refuses("top_logprobs must be at most 5", param="top_logprobs")
        (refusal if body["top_logprobs"] > 5 else YES)(handler, body)

    server.always = at_most_five
    judge = start(concurrency=1)
    assert [likely(one)["Yes"] for one in ask(judge, "a", "b")] == [0.7, 0.7]
    assert [body["top_logprobs"] for body in server.chats] == [20, 5, 5]
    server.always = refuses("unknown field: top_logprobs")
    assert ask(judge) == ["the server tells no log-probabilities"]


def test_a_server_that_wants_another_name_for_the_limit_gets_it(server: FaultyServer, start: Start) -> None:
    server.plan = [refuses("use 'max_completion_tokens' instead of 'max_tokens'", param="max_tokens")]
    assert [likely(one)["Yes"] for one in ask(start())] == [0.7]
    assert "max_tokens" not in server.chats[1] and server.chats[1]["max_completion_tokens"] == 1


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        (refuses("This model's maximum context length is 10 tokens"), "too long for the judge"),
        (refuses("filtered", code="content_filter"), "withheld by the server"),
        (likeliest({"Yes": -0.1}, ending="content_filter"), "withheld by the server"),
    ],
)
def test_one_question_that_is_refused_does_not_end_the_others(
    server: FaultyServer, start: Start, action: Action, reason: str
) -> None:
    server.plan = [action]
    first, second = ask(start(concurrency=1), "a", "b")
    assert first == reason and likely(second)["Yes"] == 0.7


NONSENSE: dict[str, Action] = {
    "html": html,
    "no choices": says({"choices": []}),
    "tokens without probabilities": says(answer([choice("x", logprobs={"content": [{"top_logprobs": [{}]}]})])),
    "probabilities as text": likeliest({"Yes": "-0.1"}),  # type: ignore[dict-item]
    "probabilities as yes and no": likeliest({"Yes": True}),
    "half an answer": drops,
    "an error": says({"error": "broken"}, 500),
    "busy": says({"error": {"message": "slow down"}}, 429),
}


@pytest.mark.parametrize("fault", NONSENSE)
def test_nonsense_is_asked_again_and_then_lost(server: FaultyServer, start: Start, said: list[str], fault: str) -> None:
    judge = start(concurrency=1)
    server.plan = [NONSENSE[fault]]
    assert likely(ask(judge)[0])["Yes"] == 0.7  # at the second attempt
    server.plan = [NONSENSE[fault]] * 2
    lost, found = ask(judge, "a", "b")
    assert lost == "judge did not answer" and likely(found)["Yes"] == 0.7
    assert said[-1].startswith("the judge did not answer 1 of 2 questions: the server does not answer as it should, 2 ")


@pytest.mark.parametrize("action", [stalls, drips])
def test_a_judge_that_takes_too_long_is_waited_for_no_longer(
    server: FaultyServer, start: Start, action: Action
) -> None:
    judge = start(timeout=0.3)
    assert len(ask(judge)) == 1
    server.always = action
    began = time.monotonic()
    assert ask(judge, *"abcdefghij") == ["judge did not answer"] * 10
    assert time.monotonic() - began < SOON


def test_a_judge_that_is_gone_half_way_leaves_the_rest_undecided_and_soon(
    server: FaultyServer, start: Start, said: list[str]
) -> None:
    judge = start()
    server.plan = [YES] * 3
    server.always = says({}, 503)
    found = ask(judge, *map(str, range(50)))
    assert sum(not isinstance(one, str) for one in found) == 3
    assert found.count("judge did not answer") == 47
    assert len(server.chats) < 3 + 2 * 10  # two attempts of the few that were under way before it was given up
    assert "47 of 50 questions" in said[-1]
    server.always = YES
    assert likely(ask(judge)[0])["Yes"] == 0.7  # and is asked again the next time


def test_a_judge_that_was_stopped_half_way_leaves_the_rest_undecided(server: FaultyServer, start: Start) -> None:
    judge = start(timeout=1.0)
    ask(judge)
    server.stop()
    assert ask(judge, "a", "b", "c") == ["judge did not answer"] * 3


def test_a_judge_that_never_answers_is_an_error_that_names_it(server: FaultyServer, start: Start) -> None:
    judge = start()
    server.always = says({}, 503)
    with pytest.raises(EngineError, match="2 attempts: status 503") as caught:
        ask(judge, "a", "b")
    assert server.url in str(caught.value) and caught.value.retryable


def test_a_judge_that_is_not_there_is_an_error_at_once(start: Start) -> None:
    with running() as gone:
        url = gone.url
    with pytest.raises(EngineError, match="ConnectError") as caught:
        start(url=url)
    assert url in str(caught.value)


def test_a_key_that_is_refused_is_an_error(server: FaultyServer, start: Start) -> None:
    judge = start()
    server.always = refuses("no", status=401)
    with pytest.raises(ConfigError, match="the server wants a key"):
        ask(judge, "a", "b", "c")


def test_progress_is_told(server: FaultyServer, start: Start, said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judges, "_REPORT_EVERY", 0.1)
    server.always = lambda handler, body: time.sleep(0.05) or YES(handler, body)
    ask(start(concurrency=1), *"abcdef")
    assert any(line.endswith("/6 questions to the judge") for line in said)


def test_any_text_is_sent_as_it_is(server: FaultyServer, start: Start) -> None:
    assert likely(ask(start(), "Zoë 😀 \x00")[0])["Yes"] == 0.7
    assert server.chats[0]["messages"][0]["content"] == "Zoë 😀 \x00"
