"""Arbitrary bodies, headers and paths: an error in OpenAI's shape, never a 500, and a front that answers on."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tao_ops.config import Flywheel
from tests.tao_ops.serve.conftest import ASK, Service, front
from tests.tao_ops.serve.light_engine import LightEngine, Running, lane_of

LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)
FIELDS = st.sampled_from(
    [
        "model", "messages", "n", "max_tokens", "temperature", "top_p", "top_k", "stop", "stream", "stream_options",
        "logit_bias", "logprobs", "response_format", "tools", "user", "metadata", "prompt", "seed", "echo", "best_of",
        "kv_transfer_params", "chat_template", "priority", "structured_outputs", "vllm_xargs", "safety_identifier",
    ]
)  # fmt: skip
HEADERS = st.dictionaries(
    st.sampled_from(["accept", "x-request-id", "authorization", "expect", "x-tao-arm", "cookie", "content-encoding"]),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=30),
    max_size=3,
)
PATHS = st.sampled_from(["/v1/chat/completions", "/v1/completions"])
FUZZ = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def fuzzed(tickets: Flywheel) -> Iterator[Service]:
    engine = LightEngine()
    with Running(engine) as running, front(tickets, lane_of(running, engine), body_kib=64) as service:
        yield service


def _check(service: Service, response: httpx.Response) -> None:
    assert response.status_code < 500 and response.headers["x-request-id"].startswith("req-")
    if response.status_code >= 400:
        service.error(response)
    assert not service.logged


@FUZZ
@given(path=PATHS, body=st.binary(max_size=200), headers=HEADERS)
def test_bytes(fuzzed: Service, path: str, body: bytes, headers: dict[str, str]) -> None:
    told = {"content-type": "application/json", **headers}
    response = fuzzed.client.post(path, content=body, headers=told)
    _check(fuzzed, response)
    assert response.status_code >= 400


@FUZZ
@given(path=PATHS, fields=st.dictionaries(FIELDS, VALUES, max_size=5), whole=st.booleans())
def test_fields(fuzzed: Service, path: str, fields: dict[str, Any], whole: bool) -> None:
    body = {**({**ASK, "prompt": "x"} if whole else {}), **fields}
    if path.endswith("chat/completions") and "prompt" not in fields:
        body.pop("prompt", None)
    elif not path.endswith("chat/completions") and "messages" not in fields:
        body.pop("messages", None)
    content = json.dumps(body).encode("utf-8", "surrogatepass")
    _check(fuzzed, fuzzed.client.post(path, content=content, headers={"content-type": "application/json"}))


@FUZZ
@given(
    messages=st.lists(st.dictionaries(st.sampled_from(["role", "content", "name", "tool_calls"]), VALUES, max_size=3))
)
def test_messages(fuzzed: Service, messages: list[dict[str, Any]]) -> None:
    content = json.dumps({**ASK, "messages": messages}).encode()
    response = fuzzed.client.post("/v1/chat/completions", content=content, headers={"content-type": "application/json"})
    _check(fuzzed, response)


@FUZZ
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "PATCH", "HEAD", "OPTIONS", "DELETE", "TRACE"]),
    path=st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF), max_size=40).map(
        lambda text: quote(text, "/%.~")
    ),
)
def test_paths(fuzzed: Service, method: str, path: str) -> None:
    response = fuzzed.client.request(method, f"{fuzzed.url}/{path}")
    assert response.status_code in (404, 405) or (method in ("GET", "HEAD") and response.status_code == 200)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 50_000,
        b'{"model":' + b"[" * 900 + b"]" * 900 + b"}",
        b'{"model":"tickets","messages":[{"role":"user","content":"\\ud800"}]}',
        b'{"model":"tickets","messages":[{"role":"user","content":"x"}],"temperature":NaN}',
        b'{"model":"tickets","messages":[{"role":"user","content":"x"}],"temperature":1e999}',
        b'{"model":"tickets","messages":[{"role":"user","content":"x"}],"seed":' + b"9" * 5000 + b"}",
        b'{"model":"tickets","messages":[{"role":"user","content":"x"}],"top_k":99999999999999999999}',
        b'{"model":"tickets","messages":[{"role":"user","content":[{"type":"image_url","image_url":"http://10.0.0.1"}]}]}',
        b'{"model":"tickets","messages":[{"role":"user","content":"x"}],"n":1000000}',
        b'{"model":"tickets","messages":[{"role":"user","content":"x"}],"n":"5"}',
        b'{"model":"tickets","messages":[{"role":"user","content":"x"}],"stream":"false"}',
        b'{"model":"tickets","messages":[{"role":"user","content":"x"}],"response_format":{"type":"structural_tag"}}',
        b"\xff\xfe{\x00",
        b"null",
        b"",
    ],
)
def test_bodies_that_broke_servers_before(fuzzed: Service, body: bytes) -> None:
    response = fuzzed.client.post("/v1/chat/completions", content=body, headers={"content-type": "application/json"})
    assert response.status_code == 400 and fuzzed.error(response)["code"] in ("invalid_json", "invalid_value")
    assert fuzzed.ask().status_code == 200
