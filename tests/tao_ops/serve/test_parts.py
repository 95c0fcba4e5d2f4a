"""The front's smaller parts, each by itself."""

import asyncio
import doctest
import secrets
from collections.abc import Mapping
from typing import Any

import pytest

from tao_ops.config import Flywheel
from tao_ops.config.serve import RequestLimits, ServeConfig
from tao_ops.serve import access, keys, limits, metrics, plan, prompting, request_ids, responses, routes, trimming
from tao_ops.serve.limits import Limiter
from tao_ops.serve.metrics import Metrics
from tao_ops.serve.prompting import Prompting
from tao_ops.serve.request_ids import RequestIds
from tao_ops.serve.responses import Refused
from tao_ops.serve.trimming import Trimmed

MODULES = (access, keys, limits, metrics, plan, prompting, request_ids, responses, routes, trimming)


@pytest.mark.parametrize("module", MODULES)
def test_examples_of_docstrings(module: Any) -> None:
    assert doctest.testmod(module).failed == 0


def test_ids_are_known_by_every_server_with_the_key_and_by_no_other() -> None:
    ids = RequestIds(b"one")
    signed = ids.signed(ids.new())
    for text in (signed, f"chatcmpl-{signed}", f"cmpl-{signed}", f"cmpl-{signed}-0"):
        assert RequestIds(b"one").answered(text) == signed
    assert RequestIds(b"two").answered(signed) is None
    forged = signed[:-8] + secrets.token_hex(4)
    for text in (
        "",
        signed[:-1],
        f"{signed}x",
        f"x{signed}",
        signed.upper(),
        forged,
        ids.new(),
        "req-é",
        f"{signed}\n",
    ):
        assert ids.answered(text) is None


def test_a_limit_counts_an_end_once() -> None:
    limiter = Limiter(RequestLimits(concurrent=1, requests_a_minute=60, burst=3), clock=lambda: 0.0)
    end = limiter.begin("shop")
    with pytest.raises(Refused, match="1 requests are under way"):
        limiter.begin("shop")
    end()
    end()
    limiter.begin("shop")
    with pytest.raises(Refused, match="under way"):
        limiter.begin("shop")
    limiter.begin("other")()


def _two(tickets: Flywheel, **serve: Any) -> Prompting:
    (task,) = tickets.tasks.values()
    more = {"tasks": {"read": task, "reply": task.model_copy(update={"max_tokens": 7})}, "serve": ServeConfig(**serve)}
    return Prompting(tickets.model_copy(update=more))


def _task(prompting: Prompting, body: Mapping[str, Any]) -> str | int:
    try:
        return prompting.task(body)
    except Refused as refused:
        return refused.status


def test_the_task_is_named_by_the_model_or_by_metadata(tickets: Flywheel) -> None:
    two, one = _two(tickets), Prompting(tickets)
    assert one.task({"model": "tickets"}) == one.task({"model": "tickets/tickets"}) == "tickets"
    assert two.models == ["tickets", "tickets/read", "tickets/reply"]
    assert _task(two, {"model": "tickets/reply"}) == "reply"
    assert _task(two, {"model": "tickets", "metadata": {"task": "read"}}) == "read"
    for model, metadata, status in (
        ("tickets", None, 400),
        ("tickets", {"task": "write"}, 400),
        ("tickets/read", {"task": "reply"}, 400),
        ("tickets/write", None, 404),
        ("ticket", None, 404),
        ("", None, 404),
    ):
        assert _task(two, {"model": model, "metadata": metadata}) == status
    with pytest.raises(Refused, match="tickets/read, tickets/reply"):
        two.task({"model": "tickets"})


def test_who_puts_the_prompt_in(tickets: Flywheel) -> None:
    messages = [{"role": "system", "content": "mine"}, {"role": "user", "content": "x"}]
    client = _two(tickets, prompt="client")
    assert client.chat({"messages": messages}, "reply") == {"messages": messages, "max_tokens": 7}
    assert client.chat({"messages": messages, "max_completion_tokens": 3}, "reply").get("max_tokens") is None
    with pytest.raises(Refused, match="send no system message"):
        _two(tickets).chat({"messages": messages}, "read")


def _trimmed(pieces: list[bytes], *, trim: bool = True) -> list[bytes]:
    out: list[bytes] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["state"]["tao_trim"] = trim
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            out.append(message["body"])

    asyncio.run(Trimmed(app)({"state": {}}, None, send))  # type: ignore[arg-type]
    return out


def test_the_tokens_chunk_is_taken_out_wherever_the_pieces_are_cut() -> None:
    word = b'data: {"choices":[{"delta":{"content":"\\"choices\\":[]"}}]}\n\n'
    stream = word * 2 + b'data: {"choices":[],"usage":{"n":1}}\n\ndata: [DONE]\n\n'
    wanted = word * 2 + b"data: [DONE]\n\n"
    for cut in range(1, len(stream)):
        assert b"".join(_trimmed([stream[:cut], stream[cut:]])) == wanted
    assert _trimmed([word, word])[:2] == [word, word]  # whole events are given on at once
    assert b"".join(_trimmed([stream], trim=False)) == stream
    assert b"".join(_trimmed([b"data: {"])) == b"data: {"  # a stream that breaks


def test_metrics_of_engines_clash_neither_with_each_other_nor_with_ours() -> None:
    engine = '# HELP up Up.\n# TYPE up gauge\nup{a="1"} 1.0\n# TYPE n counter\nn_total 3\nnonsense\n'
    text = Metrics().text({"champion": engine, "candidate": engine}).decode()
    assert text.count("# TYPE up gauge") == 1 and "nonsense" not in text
    assert 'up{arm="candidate",a="1"} 1.0' in text and 'n_total{arm="champion"} 3' in text
    families = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(families) == len(set(families))
