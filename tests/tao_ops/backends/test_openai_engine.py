"""An engine against a server that does everything wrong that servers do."""

import json
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from tao_ops.backends import openai_engine, retries
from tao_ops.backends.openai_engine import OpenAIEngine
from tao_ops.config import PriceConfig, ServerConfig
from tao_ops.errors import ConfigError, EngineError, TaoError
from tao_ops.records import Message, ModelRef, Sampling, Structure
from tests.tao_ops.backends.faulty_server import (
    Action,
    FaultyServer,
    answer,
    at_most,
    choice,
    drips,
    drops,
    good,
    html,
    refuses,
    running,
    says,
    slow,
    stalls,
)

KEY = "sk-secret-0123456789"
SOON = 10
"""Seconds: far less than what the server stalls for, and enough for a busy machine."""
Start = Callable[..., OpenAIEngine]
pytestmark = pytest.mark.timeout(30)


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with running() as started:
        yield started


@pytest.fixture
def said() -> list[str]:
    """What the engine has said."""
    return []


@pytest.fixture
def start(server: FaultyServer, said: list[str], monkeypatch: pytest.MonkeyPatch) -> Start:
    """Makes an engine for the server; waits between attempts are short."""
    monkeypatch.setattr(retries, "FIRST_WAIT", 0.01)

    def make(seed: int = 1, max_model_len: int = 100, **config: Any) -> OpenAIEngine:
        told = {"url": server.url, "model": "m", "attempts": 3, "timeout": 5.0, **config}
        return OpenAIEngine(ServerConfig(**told), seed=seed, max_model_len=max_model_len, say=said.append)

    return make


def chat(text: str) -> list[Message]:
    return [{"role": "user", "content": text}]


def sampled(samples: int = 1, **more: Any) -> Sampling:
    return Sampling(samples=samples, temperature=1.0, max_tokens=20, **more)


def texts(engine: OpenAIEngine, *asked: str, samples: int = 1) -> list[list[str]]:
    return [[one.text for one in found] for found in engine.generate([chat(text) for text in asked], sampled(samples))]


def test_responses_come_in_the_order_of_the_conversations(server: FaultyServer, start: Start) -> None:
    server.always = slow(lambda body: 0.2 if body["messages"][0]["content"] in ("a", "c") else 0.0)
    found = texts(start(), "a", "b", "c", "d", samples=2)
    assert found == [["a 0", "a 1"], ["b 0", "b 1"], ["c 0", "c 1"], ["d 0", "d 1"]]


def test_no_more_requests_are_under_way_than_allowed(server: FaultyServer, start: Start) -> None:
    server.always = slow(lambda body: 0.05)
    texts(start(concurrency=3), *map(str, range(12)))
    assert server.most_at_once == 3

    server.always = lambda handler, body: time.sleep(0.05) or at_most(1)(handler, body)  # one request each
    server.most_at_once = 0
    assert [len(found) for found in texts(start(concurrency=3), "a", "b", "c", samples=4)] == [4, 4, 4]
    assert server.most_at_once == 3


def test_each_way_to_sample_goes_with_its_conversation(server: FaultyServer, start: Start) -> None:
    ways = [Sampling(max_tokens=7), Sampling(samples=3, temperature=0.5, top_p=0.9, max_tokens=9)]
    found = start(concurrency=1).generate([chat("a"), chat("b")], ways)
    assert [len(each) for each in found] == [1, 3]
    told = [(body["temperature"], body["top_p"], body["max_tokens"], body.get("n", 1)) for body in server.chats]
    assert told == [(0.0, 1.0, 7, 1), (0.5, 0.9, 9, 3)]


def test_a_greedy_response_is_asked_for_once(server: FaultyServer, start: Start) -> None:
    assert [len(found) for found in start().generate([chat("a")], Sampling(samples=4))] == [1]


def test_nothing_asked_is_nothing_sent(server: FaultyServer, start: Start) -> None:
    assert start().generate([], sampled()) == []
    assert server.chats == []


@pytest.mark.parametrize("most", [1, 2, 3])
def test_missing_responses_are_asked_for_again(server: FaultyServer, start: Start, most: int) -> None:
    server.always = at_most(most)
    assert [len(found) for found in start().generate([chat("a"), chat("b")], sampled(7))] == [7, 7]


def test_a_server_without_n_is_asked_once_for_each_response(
    server: FaultyServer, start: Start, said: list[str]
) -> None:
    server.always = lambda handler, body: (
        refuses("'n' : number must be at most 1")(handler, body) if "n" in body else good(handler, body)
    )
    assert [len(found) for found in start(concurrency=1).generate([chat("a"), chat("b")], sampled(3))] == [3, 3]
    assert len(server.chats) == 1 + 6
    assert sum("more requests" in line for line in said) == 1


FAULTS: dict[str, Action] = {
    "408": says({}, 408),
    "409": says({}, 409),
    "425": says({}, 425),
    "429": says({"error": {"message": "slow down"}}, 429, Retry_After="0"),
    "500": says({"error": "broken"}, 500),
    "503": says("busy", 503),
    "html": html,
    "list": says([1, 2]),
    "no choices": says({"choices": []}),
    "null choices": says({"choices": None}),
    "odd choices": says({"choices": [1]}),
    "no message": says({"choices": [{"index": 0, "finish_reason": "stop"}]}),
    "odd content": says({"choices": [choice(["a"])]}),  # type: ignore[arg-type]
    "an error with status 200": says({"error": {"message": "upstream is down"}}),
    "dropped": drops,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_may_pass_is_tried_again(server: FaultyServer, start: Start, fault: str) -> None:
    server.plan = [FAULTS[fault]] * 2
    engine = start()
    assert texts(engine, "a") == [["a 0"]]
    assert len(server.chats) == 3
    assert engine.usage.retries == 2


@pytest.mark.parametrize("fault", ["429", "500", "html", "dropped", "an error with status 200"])
def test_what_does_not_pass_ends_in_one_line(server: FaultyServer, start: Start, fault: str) -> None:
    server.always = FAULTS[fault]
    engine = start()
    with pytest.raises(EngineError, match="3 attempts") as caught:
        texts(engine, "a")
    assert len(server.chats) == 3
    assert f"[{server.url}, model m]" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("action", [stalls, drips])
def test_a_request_takes_no_longer_than_its_limit(server: FaultyServer, start: Start, action: Action) -> None:
    server.always = action
    engine = start(timeout=0.5, attempts=2)
    began = time.monotonic()
    with pytest.raises(EngineError, match=r"2 attempts: no whole answer within 0\.5 s"):
        texts(engine, "a")
    assert 1.0 <= time.monotonic() - began < SOON


def test_a_slow_moment_is_forgiven(server: FaultyServer, start: Start) -> None:
    engine = start(timeout=0.5, attempts=10)
    server.plan = [drips, stalls]
    assert texts(engine, "a") == [["a 0"]]


def test_a_server_that_is_not_there_is_named(start: Start) -> None:
    with running() as gone:
        url = gone.url
    with pytest.raises(EngineError, match="3 attempts: ConnectError") as caught:
        start(url=url)
    assert url in str(caught.value)


def test_a_server_that_dies_ends_the_call(server: FaultyServer, start: Start) -> None:
    engine = start()
    server.stop()
    with pytest.raises(EngineError, match="3 attempts"):
        texts(engine, "a", "b")


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_the_server_says_when_to_come_back(server: FaultyServer, start: Start, form: str) -> None:
    engine = start()
    soon = datetime.now(UTC) + timedelta(seconds=2)
    server.plan = [says({}, 429, Retry_After="1" if form == "seconds" else format_datetime(soon, usegmt=True))]
    began = time.monotonic()
    assert texts(engine, "a") == [["a 0"]]
    assert 0.8 <= time.monotonic() - began < SOON  # a date has no fractions


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7),
        ("1.5", 1.5),
        ("86400", 60),
        ("inf", 60),
        ("Sun, 01 Jan 2090 00:00:00 GMT", 60),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0),
        ("-3", 0),
        ("nan", 0),
        ("soon", 0),
        (None, 0),
    ],
)
def test_no_wait_is_longer_than_the_limit(header: str | None, seconds: float) -> None:
    assert seconds <= retries.wait_seconds(1, header) <= seconds + retries.FIRST_WAIT
    assert retries.wait_seconds(20, header) <= 2 * retries.LONGEST_WAIT


def test_waits_grow_and_scatter() -> None:
    late = [retries.wait_seconds(5) for _ in range(200)]
    assert 4 < max(late) <= 8 and min(late) < 2


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "refuses the request"),
        (401, "wants a key"),
        (403, "wants a key"),
        (404, "mend 'url' (its base) or 'model'"),
        (422, "refuses the request"),
    ],
)
def test_what_will_not_pass_is_not_tried_again(server: FaultyServer, start: Start, status: int, words: str) -> None:
    server.always = refuses("temperature must be 1", status)
    engine = start()
    with pytest.raises(ConfigError) as caught:
        texts(engine, "a")
    assert len(server.chats) == 1
    line = str(caught.value)
    assert words in line and f"status {status}" in line and "temperature must be 1" in line
    assert f"[{server.url}, model m]" in line and not caught.value.retryable


def test_one_failure_ends_all(server: FaultyServer, start: Start) -> None:
    server.always = lambda handler, body: (
        says({}, 401)(handler, body) if body["messages"][0]["content"] == "b" else stalls(handler, body)
    )
    engine = start(timeout=20.0)
    began = time.monotonic()
    with pytest.raises(ConfigError, match="wants a key"):
        texts(engine, "a", "b", "c")
    assert time.monotonic() - began < SOON
    server.always = good
    assert texts(engine, "a") == [["a 0"]]  # the engine itself is as good as before


def test_an_interrupt_ends_all(server: FaultyServer, start: Start) -> None:
    server.always = stalls
    engine = start(timeout=20.0)
    # A shell's background processes are born deaf to it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        began = time.monotonic()
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            texts(engine, "a", "b")
        assert time.monotonic() - began < SOON
    finally:
        signal.signal(signal.SIGINT, before)


TOO_LONG: dict[str, Action] = {
    "OpenAI": refuses("too long", code="context_length_exceeded"),
    "vLLM, tokens": refuses(
        "You passed 600 input tokens and requested 20 output tokens. However, the model's context length is only 512 "
        "tokens, resulting in a maximum context length of 492 tokens."
    ),
    "vLLM, characters": refuses(
        "This model's maximum context length is 512 tokens. However, your prompt contains 9000 characters (more than "
        "4608 characters, which is the upper bound for 512 input tokens). Please reduce the length of the input "
        "prompt. (parameter=input_text, value=9000)",
        param="input_text",
        code=400,
    ),
    "vLLM, engine": refuses("The decoder prompt (length 600) is longer than the maximum model length of 512."),
    "vLLM, response": refuses(
        "max_tokens=600 cannot be greater than max_model_len=512. Please request fewer output tokens."
    ),
    "vLLM, older": refuses(
        "'max_tokens' or 'max_completion_tokens' is too large: 20. This model's maximum context length is 512 tokens "
        "and your request has 500 input tokens."
    ),
    "llama.cpp": refuses("the request exceeds the available context size", type="exceed_context_size_error"),
    "shortened without a word": says(answer([choice("a", ending="length")], prompt_tokens=81)),
}


@pytest.mark.parametrize("way", TOO_LONG)
def test_a_conversation_that_does_not_fit_has_no_response(
    server: FaultyServer, start: Start, said: list[str], way: str
) -> None:
    server.always = lambda handler, body: (
        TOO_LONG[way](handler, body) if body["messages"][0]["content"] == "long" else good(handler, body)
    )
    found = texts(start(max_model_len=100), "a", "long", "b", samples=2)
    assert found == [["a 0", "a 1"], [], ["b 0", "b 1"]]
    assert "1 conversations do not fit into the context" in said


def test_the_key_is_sent_and_never_told(
    server: FaultyServer,
    start: Start,
    said: list[str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("TAO_TEST_KEY", f"{KEY}\n")
    engine = start(api_key="${TAO_TEST_KEY}")
    assert texts(engine, "a") == [["a 0"]]
    assert {headers.get("Authorization") for _, headers, _ in server.seen} == {f"Bearer {KEY}"}
    faults: list[Action] = [
        refuses(f"Incorrect API key provided: {KEY}.", 401),
        refuses("x" * 190 + KEY, 400),
        says(f"<h1>{KEY}</h1>", 500),
        says({"error": {"message": f"Bearer {KEY}"}}),
        says("", 302, Location=f"/login?key={KEY}"),
    ]
    for fault in faults:
        server.always = fault
        with pytest.raises(TaoError) as caught:
            texts(engine, "a")
        assert "***" in str(caught.value)
        assert KEY[:10] not in str(caught.value)
        assert len(str(caught.value)) < 450
    assert KEY not in "".join(said) + caplog.text


def test_a_key_that_is_refused_leads_to_its_variable(
    server: FaultyServer, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.always = says({"detail": "no"}, 403)
    monkeypatch.setenv("TAO_TEST_KEY", KEY)
    with pytest.raises(ConfigError, match="refuses the key .status 403.: no .* mend the variable that 'api_key' names"):
        texts(start(api_key="${TAO_TEST_KEY}"), "a")


def test_a_key_that_is_not_set_or_cannot_be_sent_is_named(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TAO_TEST_KEY", raising=False)
    with pytest.raises(ConfigError, match="TAO_TEST_KEY. is not set"):
        start(api_key="${TAO_TEST_KEY}")
    for bad in ("", "clé", "a\nb"):
        monkeypatch.setenv("TAO_TEST_KEY", bad)
        with pytest.raises(ConfigError, match="the key is empty, or holds what no header may .* that 'api_key' names"):
            start(api_key="${TAO_TEST_KEY}")


def test_the_password_of_a_connection_is_the_key(
    server: FaultyServer, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAO_CONNECTION_TEACHER", json.dumps({"conn_type": "openai", "password": KEY}))
    engine = start(connection="teacher")
    assert texts(engine, "a") == [["a 0"]]
    assert {headers.get("Authorization") for _, headers, _ in server.seen} == {f"Bearer {KEY}"}
    server.always = says({"detail": f"not {KEY}"}, 403)
    with pytest.raises(ConfigError, match="password of the Connection 'teacher' .TAO_CONNECTION_TEACHER") as caught:
        texts(engine, "a")
    assert KEY not in str(caught.value)
    monkeypatch.setenv("TAO_CONNECTION_TEACHER", "openai://api.example.org")
    with pytest.raises(ConfigError, match="the key is empty, .* of the Connection 'teacher'"):
        start(connection="teacher")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_no_redirect_is_followed(
    server: FaultyServer, start: Start, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setenv("TAO_TEST_KEY", KEY)
    engine = start(api_key="${TAO_TEST_KEY}")
    with running() as other:
        server.always = says({}, status, Location=f"{other.url}/chat/completions")
        with pytest.raises(ConfigError, match=f"redirects to {other.url}/chat/completions") as caught:
            texts(engine, "a")
        assert other.seen == []
    assert KEY not in str(caught.value)


def test_an_error_does_not_quote_the_conversation(server: FaultyServer, start: Start) -> None:
    asked = "Where is the lamp that Ada Lovelace ordered?"
    faults = [
        refuses(f"cannot read {asked!r} as a prompt"),
        says({"detail": [{"loc": ["body", "messages"], "msg": "too odd", "input": asked}]}, 422),
        says(f"cannot read {asked}", 500),
    ]
    engine = start()
    for fault in faults:
        server.always = fault
        with pytest.raises(TaoError) as caught:
            texts(engine, asked)
        assert "Lovelace" not in str(caught.value)
        assert "cannot read" in str(caught.value) or "too odd" in str(caught.value)


def test_log_probabilities_are_kept(server: FaultyServer, start: Start) -> None:
    [[one]] = start().generate([chat("a")], sampled())
    assert server.chats[0]["logprobs"] is True
    assert (list(one.logprobs), list(one.token_ids), one.tokens) == ([-0.5] * 3, [], 3)


@pytest.mark.parametrize(
    "refusal",
    [
        refuses("You are not allowed to request logprobs from this model", 403),
        refuses("Unsupported parameter", 400, param="logprobs"),
        says({"detail": [{"loc": ["body", "logprobs"], "msg": "Extra inputs are not permitted"}]}, 422),
    ],
)
def test_a_server_without_log_probabilities_is_asked_without(
    server: FaultyServer, start: Start, said: list[str], refusal: Action
) -> None:
    server.always = lambda handler, body: refusal(handler, body) if "logprobs" in body else good(handler, body)
    engine = start(concurrency=1)
    found = engine.generate([chat("a"), chat("b")], sampled(2))
    assert [[list(one.logprobs) for one in each] for each in found] == [[[], []], [[], []]]
    assert [[one.tokens for one in each] for each in found] == [[3, 3], [3, 3]]  # the server's count, shared out
    assert len(server.chats) == 3
    assert sum("without log-probabilities" in line for line in said) == 1


def test_tokens_that_no_one_counts_are_estimated(server: FaultyServer, start: Start) -> None:
    server.always = says({"choices": [choice("twelve bytes")]})
    [[one]] = start().generate([chat("a")], sampled())
    assert one.tokens == 4


def test_tokens_are_shared_out_by_length(server: FaultyServer, start: Start) -> None:
    server.always = says(answer([choice("x" * 99, 0), choice("x" * 299, 1), choice("", 2)], tokens=101))
    [found] = start().generate([chat("a")], sampled(3))
    counts = [one.tokens for one in found]
    assert sum(counts) == 101 and 24 <= counts[0] <= 26 and counts[2] <= 1


def test_choices_out_of_order_are_put_in_order(server: FaultyServer, start: Start) -> None:
    server.always = says(answer([choice("second", 1), choice("first", 0)]))
    assert texts(start(), "a", samples=2) == [["first", "second"]]


def test_a_server_that_wants_max_completion_tokens_gets_it(server: FaultyServer, start: Start) -> None:
    message = "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead."
    server.always = lambda handler, body: (
        refuses(message, param="max_tokens")(handler, body) if "max_tokens" in body else good(handler, body)
    )
    assert texts(start(concurrency=1), "a", "b") == [["a 0"], ["b 0"]]
    assert [body.get("max_completion_tokens") for body in server.chats] == [None, 20, 20]


def test_each_request_has_a_seed_of_its_own(server: FaultyServer, start: Start) -> None:
    server.always = at_most(1)
    first, other = start(seed=1, concurrency=1), start(seed=2, concurrency=1)
    texts(first, "a", "b", samples=2)
    texts(first, "a", "b", samples=2)  # a later round wants other responses
    texts(other, "a", "b", samples=2)
    seeds = [body["seed"] for body in server.chats]
    assert len(set(seeds)) == len(seeds)
    server.seen.clear()
    texts(start(seed=1, concurrency=1), "a", "b", samples=2)
    assert [body["seed"] for body in server.chats][:2] == seeds[:2]  # and the same engine again the same


def test_a_server_without_seeds_is_asked_without(server: FaultyServer, start: Start, said: list[str]) -> None:
    server.always = lambda handler, body: (
        refuses("Unknown field: seed")(handler, body) if "seed" in body else good(handler, body)
    )
    assert texts(start(), "a", "b") == [["a 0"], ["b 0"]]
    assert "the server does not take 'seed': responses cannot be had again" in said


def test_only_a_vllm_is_asked_what_only_a_vllm_knows(server: FaultyServer, start: Start) -> None:
    engine = start()
    texts(engine, "a")
    assert set(server.chats[0]) == {"model", "messages", "temperature", "top_p", "max_tokens", "logprobs", "seed"}
    assert (engine.name, engine.max_model_len) == ("openai m", 100)


def test_a_vllm_is_asked_for_token_ids_and_never_seeded(server: FaultyServer, start: Start, said: list[str]) -> None:
    server.models, server.vllm = [{"id": "m", "owned_by": "vllm", "max_model_len": 64}], "0.32.0"
    logprobs = {"content": [{"logprob": -0.1}, {"logprob": -2}]}
    server.always = says(answer([choice("ok", token_ids=[7, 2], logprobs=logprobs)]))
    engine = start()
    [[one]] = engine.generate([chat("a")], sampled())
    assert (one.token_ids, one.logprobs, one.tokens) == ([7, 2], [-0.1, -2.0], 2)
    [body] = server.chats
    assert body["return_token_ids"] is True and "seed" not in body
    assert (body["top_k"], body["min_p"], body["repetition_penalty"]) == (0, 0.0, 1.0)
    assert (engine.name, engine.max_model_len) == ("openai vllm 0.32.0 m", 64)
    assert said[0] == f"openai vllm 0.32.0 m answers at {server.url}, 16 requests at once"


def test_log_probabilities_of_other_tokens_are_not_kept(server: FaultyServer, start: Start) -> None:
    server.models = [{"id": "m", "owned_by": "vllm"}]
    logprobs = {"content": [{"logprob": -0.1}]}
    server.always = says(answer([choice("ok", token_ids=[7, 2], logprobs=logprobs)]))
    [[one]] = start().generate([chat("a")], sampled())
    assert (one.token_ids, list(one.logprobs)) == ([7, 2], [])


def test_a_json_schema_is_asked_for(server: FaultyServer, start: Start) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    structure = Structure(json_schema=json.dumps(schema))
    start().generate([chat("a")], sampled(structure=structure))
    asked = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}
    assert server.chats[0]["response_format"] == asked
    with pytest.raises(ConfigError, match="the JSON schema is not JSON"):
        start().generate([chat("a")], sampled(structure=Structure(json_schema="{")))


def test_a_grammar_goes_to_vllm_only(server: FaultyServer, start: Start) -> None:
    sampling = sampled(structure=Structure(grammar='root ::= "yes"'))
    with pytest.raises(ConfigError, match="only a server that is known to be vLLM takes a grammar"):
        start().generate([chat("a")], sampling)
    assert server.chats == []
    server.models = [{"id": "m", "owned_by": "vllm"}]
    start().generate([chat("a")], sampling)
    assert server.chats[0]["structured_outputs"] == {"grammar": 'root ::= "yes"'}


@pytest.mark.parametrize("ending", ["content_filter", "tool_calls", "abort", None])
def test_a_response_that_ended_otherwise_is_no_answer(
    server: FaultyServer, start: Start, said: list[str], ending: str | None
) -> None:
    server.always = says(answer([choice("half of it", 0, ending), choice("whole", 1)]))
    engine = start()
    [found] = engine.generate([chat("a")], sampled(2))
    assert [(one.text, one.finish_reason) for one in found] == [("", "length"), ("whole", "stop")]
    assert engine.usage.withheld == 1
    assert said[-1] == f"responses that ended otherwise, kept without text: 1 by {ending}"


def test_a_conversation_that_a_filter_refuses_does_not_end_the_others(server: FaultyServer, start: Start) -> None:
    server.always = lambda handler, body: (
        refuses("filtered", code="content_filter")(handler, body)
        if body["messages"][0]["content"] == "b"
        else good(handler, body)
    )
    assert texts(start(), "a", "b") == [["a 0"], [""]]


def test_a_response_without_text_is_an_empty_one(server: FaultyServer, start: Start) -> None:
    server.always = says(answer([choice(None)]))
    assert texts(start(), "a") == [[""]]


def test_a_model_that_is_not_served_is_answered_with_those_that_are(server: FaultyServer, start: Start) -> None:
    server.models = [{"id": "small"}, {"id": "large"}]
    with pytest.raises(ConfigError, match=r"no such model \[.*, model m\] — it serves: small, large") as caught:
        start()
    assert not caught.value.retryable
    server.models = [{"id": "models/m"}]
    assert texts(start(), "a") == [["a 0"]]


def test_a_server_that_lists_no_models_is_taken_as_it_is(server: FaultyServer, start: Start) -> None:
    server.models = None
    assert texts(start(), "a") == [["a 0"]]


def test_use_and_cost_are_counted(server: FaultyServer, start: Start, said: list[str]) -> None:
    engine = start(price=PriceConfig(prompt=1e6, response=2e6))
    server.plan = [says({}, 500)]
    texts(engine, "a", "b", samples=2)
    usage = engine.usage
    assert (usage.requests, usage.retries, usage.prompt_tokens, usage.response_tokens) == (1 + 3, 1, 10, 12)
    assert usage.cost == 10 + 24
    assert said[-1] == "4 responses in 0 s, 3 requests (1 of them again), 10 + 12 tokens, cost 34.0000"


def test_progress_is_told(server: FaultyServer, start: Start, said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_engine, "_REPORT_EVERY", 0.25)
    server.always = slow(lambda body: 0.1)
    server.plan = [says({"error": "busy"}, 503)]
    asked = "a prompt that nobody should read"
    texts(start(concurrency=1), *[asked] * 6)
    lines = [line for line in said if "s left" in line]
    assert lines and "/6 responses, " in lines[0] and "tokens/s, about " in lines[0]
    assert lines[0].endswith("; 1 requests tried again, the last after: status 503 busy")
    assert asked not in "".join(said)


def test_a_server_takes_no_weights(start: Start) -> None:
    with pytest.raises(EngineError, match="takes no weights"):
        start().reload(ModelRef("/nowhere", "0" * 16))
