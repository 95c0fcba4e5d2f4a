"""The front's addresses, as a client over HTTP sees them."""

import json
from collections.abc import Callable

import httpx
import pytest

from tao_ops.config import Flywheel
from tests.tao_ops.serve.conftest import ASK, Service
from tests.tao_ops.serve.light_engine import LightEngine

Make = Callable[..., Service]


def _events(response: httpx.Response) -> list[str]:
    return [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]


def test_a_chat_is_answered_and_says_who_answered(service: Service, engine: LightEngine) -> None:
    response = service.ask()
    assert response.status_code == 200
    assert response.json()["choices"][0]["message"]["content"] == "where is my blue lamp"
    told = {name: response.headers[f"x-tao-{name}"] for name in ("version", "model", "arm", "task")}
    assert told == {"version": "3", "model": "aaaa", "arm": "champion", "task": "tickets"}
    assert "server" not in response.headers and "access-control-allow-origin" not in response.headers


def test_the_completions_id_holds_the_responses_which_is_known_as_answered(service: Service) -> None:
    response = service.ask()
    request_id = response.headers["x-request-id"]
    assert response.json()["id"] == f"chatcmpl-{request_id}"
    assert service.ids.answered(response.json()["id"]) == request_id


def test_the_production_prompt_is_put_in_once_and_the_answer_bounded(
    service: Service, engine: LightEngine, tickets: Flywheel
) -> None:
    service.ask()
    (seen,) = engine.seen
    assert [message["role"] for message in seen["messages"]] == ["system", "user"]
    assert seen["messages"][0]["content"] == tickets.prompt("tickets") and seen["max_tokens"] == 64
    response = service.ask(messages=[{"role": "system", "content": "be rude"}, *ASK["messages"]])
    assert response.status_code == 400 and service.error(response)["code"] == "system_message"
    assert len(engine.seen) == 1


def test_what_only_the_server_needs_is_not_sent_on(service: Service, engine: LightEngine) -> None:
    assert service.ask(user="anna", metadata={"task": "tickets"}, store=True, max_tokens=5).status_code == 200
    assert set(engine.seen[0]) == {"model", "messages", "max_tokens"} and engine.seen[0]["max_tokens"] == 5


def test_a_stream_comes_in_pieces_and_its_tokens_only_where_asked_for(service: Service, engine: LightEngine) -> None:
    response = service.ask(stream=True)
    events = _events(response)
    assert response.headers["content-type"].startswith("text/event-stream") and events[-1] == "[DONE]"
    words = [json.loads(event)["choices"][0]["delta"]["content"] for event in events[:-1]]
    assert "".join(words).strip() == "where is my blue lamp" and len(words) == 5
    assert engine.seen[0]["stream_options"] == {"include_usage": True}
    asked = _events(service.ask(stream=True, stream_options={"include_usage": True}))
    assert json.loads(asked[-2])["usage"]["completion_tokens"] == 5


def test_a_text_completion_is_sent_as_it_is(service: Service, engine: LightEngine) -> None:
    response = service.client.post("/v1/completions", json={"model": "tickets", "prompt": "once upon"})
    assert response.json()["choices"][0]["text"] == "once upon"
    assert engine.seen == [{"model": "tickets", "prompt": "once upon"}]


def test_models_are_listed_and_shown(service: Service) -> None:
    assert [one["id"] for one in service.client.get("/v1/models").json()["data"]] == ["tickets", "tickets/tickets"]
    assert service.client.get("/v1/models/tickets/tickets").json()["object"] == "model"
    missing = service.client.get("/v1/models/gpt")
    assert missing.status_code == 404 and service.error(missing)["code"] == "model_not_found"


@pytest.mark.parametrize("path", ["/", "/v1", "/docs", "/tao/engine/state", "/v1/chat/completions/", "/v1/embeddings"])
def test_every_other_address_is_not_there(service: Service, path: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        response = service.client.request(method, path)
        assert response.status_code == 404 and service.error(response)["type"] == "not_found_error"
        assert response.headers["x-request-id"].startswith("req-")


def test_another_method_and_a_pages_question_are_refused(service: Service) -> None:
    assert service.client.get("/v1/chat/completions").status_code == 405
    asked = service.client.options("/v1/chat/completions", headers={"origin": "http://evil", "host": "127.0.0.1"})
    assert asked.status_code == 405 and "access-control-allow-origin" not in asked.headers


def test_health_says_what_it_waits_for(service: Service) -> None:
    assert service.client.get("/health").json() == {"status": "ok", "version": 3}
    service.lanes.champion = None
    response = service.client.get("/health")
    assert response.status_code == 503 and service.error(response)["message"] == "waiting for the engine"
    asked = service.ask()
    assert asked.status_code == 503 and int(asked.headers["retry-after"]) >= 1
    assert service.ids.answered(asked.headers["x-request-id"]) is None


def test_metrics_are_the_servers_and_the_engines(service: Service) -> None:
    service.ask()
    service.ask(model="gpt")
    text = service.client.get("/metrics").text
    answered = 'tao_requests_total{arm="champion",route="/v1/chat/completions",status="200",version="3"} 1.0'
    assert answered in text and 'tao_refused_total{code="model_not_found"} 1.0' in text
    assert 'vllm:running{arm="champion",engine="0"} 2.0' in text and "tao_mixed_total 0.0" in text
    assert 'tao_first_byte_seconds_count{arm="champion",route="/v1/chat/completions"} 1.0' in text


def test_what_the_engine_refuses_passes_in_openais_shape(service: Service, engine: LightEngine) -> None:
    engine.refusal = (400, {"error": {"message": "context too long", "type": "BadRequestError", "code": 400}})
    response = service.ask()
    assert response.status_code == 400 and service.error(response)["message"] == "context too long"
    assert response.headers["x-tao-arm"] == "champion"
    assert service.ids.answered(response.headers["x-request-id"]) is None
    engine.refusal = (501, {"no": "shape"})
    assert service.error(service.ask())["code"] == "engine_refused"


def test_an_error_that_nobody_expected_is_answered_and_logged_without_the_request(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> str:
        raise RuntimeError("holds lamp")

    monkeypatch.setattr("tao_ops.serve.front.user_of", broken)
    response = service.ask()
    assert response.status_code == 500 and service.error(response)["type"] == "server_error"
    (line,) = service.logged
    assert "RuntimeError" in line and "lamp" not in line
