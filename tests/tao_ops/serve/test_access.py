"""Who is let in, how often and with how much."""

import json
import socket
import threading
import time
from collections.abc import Callable

import httpx
import pytest

from tests.tao_ops.serve.conftest import ASK, Service
from tests.tao_ops.serve.light_engine import LightEngine

Make = Callable[..., Service]
SHOP, ROOT = "a-key-of-twenty-characters", "another-key-of-an-admin"
KEYS = f"shop={SHOP} admin:root={ROOT}"


def _bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def _raw(service: Service, head: str, body: bytes = b"", *, wait_s: float = 5.0) -> bytes:
    """What the server says to bytes of any kind."""
    with socket.create_connection(("127.0.0.1", service.running.port), timeout=wait_s) as connection:
        connection.sendall(head.replace("\n", "\r\n").encode("latin-1") + body)
        said = b""
        try:
            while part := connection.recv(65536):
                said += part
        except TimeoutError:
            pass
    return said


def test_without_a_key_nobody_is_let_in_where_there_are_keys(open_front: Make) -> None:
    service = open_front(keys=KEYS)
    for headers in ({}, {"authorization": "Basic abc"}, {"authorization": "Bearer"}, _bearer("wrong"), _bearer("ü")):
        encoded = {name: value.encode() for name, value in headers.items()}
        for path in ("/v1/chat/completions", "/v1/completions", "/v1/feedback"):
            response = service.client.post(path, json=ASK, headers=encoded)
            assert response.status_code == 401 and service.error(response)["type"] == "authentication_error"
        assert service.client.get("/metrics", headers=encoded).status_code == 401
    assert service.client.get("/health").status_code == 200
    assert service.client.post("/v1/chat/completions", json=ASK, headers=_bearer(SHOP)).status_code == 200
    assert service.client.get("/v1/models", headers=_bearer(ROOT)).status_code == 200


def test_an_administrators_routes_take_an_administrators_key_alone(open_front: Make) -> None:
    service = open_front(keys=KEYS)
    for method, path in (("GET", "/tao/status"), ("POST", "/tao/reconcile")):
        assert service.client.request(method, path).status_code == 401
        assert service.client.request(method, path, headers=_bearer(SHOP)).status_code == 403
        assert service.client.request(method, path, headers=_bearer("unknown")).status_code == 403
        assert service.client.request(method, path, headers=_bearer(ROOT)).status_code == 200
    unlocked = open_front()
    assert unlocked.client.get("/tao/status", headers=_bearer(ROOT)).status_code == 403


def test_without_keys_a_page_of_a_browser_does_not_get_in(service: Service) -> None:
    rebound = service.client.post("/v1/chat/completions", json=ASK, headers={"host": "evil.example:8000"})
    assert rebound.status_code == 403 and service.error(rebound)["code"] == "unknown_host"
    simple = service.client.post(
        "/v1/chat/completions", content=json.dumps(ASK), headers={"content-type": "text/plain"}
    )
    assert simple.status_code == 415
    for host in ("localhost:1", "127.0.0.1", "[::1]:80"):
        assert service.client.post("/v1/chat/completions", json=ASK, headers={"host": host}).status_code == 200


def test_each_key_has_a_rate_of_its_own(open_front: Make) -> None:
    service = open_front(keys=KEYS, requests_a_minute=1, burst=2)
    statuses = [service.client.post("/v1/completions", json={}, headers=_bearer(SHOP)).status_code for _ in range(3)]
    assert statuses == [400, 400, 429]
    refused = service.client.post("/v1/completions", json={}, headers=_bearer(SHOP))
    assert int(refused.headers["retry-after"]) > 10 and service.error(refused)["code"] == "rate_limit_exceeded"
    assert service.client.post("/v1/completions", json={}, headers=_bearer(ROOT)).status_code == 400


def test_so_many_requests_of_a_key_are_under_way_at_once(open_front: Make, engine: LightEngine) -> None:
    service = open_front(concurrent=1)
    engine.pause_s = 1.0
    thread = threading.Thread(target=service.ask)
    thread.start()
    until = time.monotonic() + 5
    while not engine.seen and time.monotonic() < until:
        time.sleep(0.01)
    refused = service.ask()
    thread.join()
    assert refused.status_code == 429 and service.error(refused)["code"] == "concurrency_limit_exceeded"
    engine.pause_s = 0.0
    assert service.ask().status_code == 200


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_that_is_too_long_is_refused_before_all_of_it_is_read(open_front: Make, declared: bool) -> None:
    service = open_front(body_kib=1)
    content = b" " * 4096 if declared else (b" " * 1024 for _ in range(4))
    response = service.client.post(
        "/v1/chat/completions", content=content, headers={"content-type": "application/json"}
    )
    assert response.status_code == 413 and service.error(response)["code"] == "request_too_large"
    assert service.client.get("/health").status_code == 200


def test_a_client_that_asks_first_need_not_send_it(open_front: Make) -> None:
    service = open_front(body_kib=1)
    head = "POST /v1/completions HTTP/1.1\nHost: 127.0.0.1\nContent-Type: application/json\n"
    said = _raw(service, f"{head}Content-Length: 99999999999\nExpect: 100-continue\n\n")
    assert said.startswith(b"HTTP/1.1 413")


def test_a_body_that_does_not_come_is_not_waited_for(open_front: Make) -> None:
    service = open_front(body_s=0.3)
    head = "POST /v1/completions HTTP/1.1\nHost: 127.0.0.1\nContent-Type: application/json\n"
    said = _raw(service, f"{head}Content-Length: 100\n\n", b"{")
    assert said.startswith(b"HTTP/1.1 408") and b'"request_timeout"' in said


def test_another_id_each_time_and_no_prompt_in_any_log(service: Service, capfd: pytest.CaptureFixture[str]) -> None:
    ids = {service.ask(messages=[]).headers["x-request-id"] for _ in range(3)}
    assert len(ids) == 3
    service.ask(messages=[{"role": "user", "content": "secretlamp"}])
    service.client.post("/v1/chat/completions", content=b'{"secretlamp', headers={"content-type": "application/json"})
    told = capfd.readouterr()
    assert "secretlamp" not in told.out + told.err + "".join(service.logged)


def test_a_request_that_is_no_http_ends(service: Service) -> None:
    assert b"400" in _raw(service, "nonsense\n\n", wait_s=2.0)
    with httpx.Client(base_url=service.url) as client:
        assert client.get("/health").status_code == 200
