"""The official ``openai`` package, unchanged, against the front."""

import time
from collections.abc import Callable

import openai
import pytest
from openai import OpenAI

from tests.tao_ops.serve.conftest import Service
from tests.tao_ops.serve.light_engine import LightEngine

Make = Callable[..., Service]
MESSAGES = [{"role": "user", "content": "where is my blue lamp"}]
SHOP, ROOT = "a-key-of-twenty-characters", "another-key-of-an-admin"
KEYS = f"shop={SHOP} admin:root={ROOT}"


def _client(service: Service, **options: object) -> OpenAI:
    return OpenAI(base_url=f"{service.url}/v1", **{"api_key": "none", "max_retries": 0, "timeout": 20, **options})


@pytest.fixture
def client(service: Service) -> OpenAI:
    return _client(service)


def test_chat_and_its_request_id(client: OpenAI, service: Service) -> None:
    answer = client.chat.completions.create(model="tickets", messages=MESSAGES, temperature=0.2, user="anna")
    assert answer.choices[0].message.content == "where is my blue lamp" and answer.usage.total_tokens == 12
    assert service.ids.answered(answer._request_id) == service.ids.answered(answer.id) is not None


def test_text_completions(client: OpenAI) -> None:
    answer = client.completions.create(model="tickets", prompt="once upon", max_tokens=3)
    assert answer.choices[0].text == "once upon" and answer._request_id


def test_a_stream(client: OpenAI) -> None:
    chunks = list(client.chat.completions.create(model="tickets", messages=MESSAGES, stream=True))
    assert "".join(chunk.choices[0].delta.content for chunk in chunks).strip() == "where is my blue lamp"
    asked = client.chat.completions.create(
        model="tickets", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )
    assert list(asked)[-1].usage.prompt_tokens == 7
    texts = [chunk.choices[0].text for chunk in client.completions.create(model="tickets", prompt="a b", stream=True)]
    assert "".join(texts).strip() == "a b"


def test_the_streaming_helper(client: OpenAI) -> None:
    with client.chat.completions.stream(model="tickets", messages=MESSAGES) as stream:
        for _ in stream:
            pass
        assert stream.get_final_completion().choices[0].message.content.strip() == "where is my blue lamp"


def test_models(client: OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["tickets", "tickets/tickets"]
    assert client.models.retrieve("tickets").owned_by == "tao"


def test_its_errors(open_front: Make, engine: LightEngine) -> None:
    service = open_front(keys=KEYS, requests_a_minute=1, burst=4, body_kib=1)
    good = _client(service, api_key=SHOP)
    with pytest.raises(openai.BadRequestError) as wrong:
        good.chat.completions.create(model="tickets", messages=[])
    assert wrong.value.param == "messages" and wrong.value.request_id
    with pytest.raises(openai.NotFoundError) as missing:
        good.chat.completions.create(model="gpt-9", messages=MESSAGES)
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.AuthenticationError):
        _client(service, api_key="not-one-of-them").chat.completions.create(model="tickets", messages=MESSAGES)
    with pytest.raises(openai.APIStatusError) as long:
        good.chat.completions.create(model="tickets", messages=[{"role": "user", "content": "x" * 5000}])
    assert long.value.status_code == 413
    service.lanes.champion = None
    with pytest.raises(openai.InternalServerError) as down:
        good.chat.completions.create(model="tickets", messages=MESSAGES)
    assert down.value.status_code == 503
    with pytest.raises(openai.RateLimitError):
        good.chat.completions.create(model="tickets", messages=MESSAGES)
    with pytest.raises(openai.PermissionDeniedError):
        good.get("/../tao/status", cast_to=object)
    assert _client(service, api_key=ROOT).get("/../tao/status", cast_to=object) == {"swaps": {}}


def test_an_error_in_the_middle_of_a_stream(client: OpenAI, engine: LightEngine) -> None:
    engine.breaks = ["middle"]
    with pytest.raises(openai.APIError, match="the engine broke off"):
        list(client.chat.completions.create(model="tickets", messages=MESSAGES, stream=True))


def test_it_tries_again_by_itself(open_front: Make) -> None:
    service = open_front(requests_a_minute=60, burst=1)
    client = _client(service, max_retries=2)
    began = time.monotonic()
    for _ in range(2):  # the second finds the bucket empty, and a Retry-After of one second
        assert client.chat.completions.create(model="tickets", messages=MESSAGES).choices
    assert time.monotonic() - began >= 0.9
    assert service.metric("tao_refused_total", code="rate_limit_exceeded") == 1


def test_it_tries_again_where_no_model_is_ready_yet(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tao_ops.serve.proxy.RETRY_AFTER_S", 1.0)
    lane, service.lanes.champion = service.lanes.champion, None
    client = _client(service, max_retries=1)
    monkeypatch.setattr(client, "_sleep_for_retry", lambda **_: setattr(service.lanes, "champion", lane))
    assert client.chat.completions.create(model="tickets", messages=MESSAGES).choices
