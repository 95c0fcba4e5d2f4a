"""The way to the engine and back: engines that break, restart and change; clients that go away."""

import asyncio
import json
import re
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tao_ops.config import Flywheel
from tao_ops.serve.exchange import Arm
from tao_ops.serve.lanes import Lanes, Served
from tao_ops.serve.metrics import Metrics
from tao_ops.serve.proxy import Ask, Proxy
from tao_ops.serve.request_ids import RequestIds
from tests.tao_ops.serve.conftest import ASK, Service, front
from tests.tao_ops.serve.light_engine import KEY, LightEngine, Running, lane_of

Make = Callable[..., Service]


def test_the_engines_key_and_the_requests_id_go_to_the_engine_and_the_clients_key_does_not(
    open_front: Make, engine: LightEngine
) -> None:
    service = open_front(keys="shop=a-key-of-twenty-characters")
    response = service.client.post(
        "/v1/chat/completions", json=ASK, headers={"authorization": "Bearer a-key-of-twenty-characters", "x-own": "1"}
    )
    assert response.status_code == 200
    (headers,) = engine.headers
    assert headers["authorization"] == f"Bearer {KEY}" and "x-own" not in headers
    assert headers["x-request-id"] == response.headers["x-request-id"]


def test_an_engine_that_breaks_before_the_first_byte_is_asked_once_more(service: Service, engine: LightEngine) -> None:
    for what in ("500", "cut"):
        engine.breaks, engine.seen = [what], []
        for stream in (True, False):
            assert service.ask(stream=stream).status_code == 200
        assert len(engine.seen) == 3
    assert service.metric("tao_engine_broken_total") == service.metric("tao_tried_again_total") == 2


def test_one_that_breaks_twice_is_not_asked_a_third_time(service: Service, engine: LightEngine) -> None:
    engine.breaks = ["500", "cut", "cut"]
    response = service.ask(stream=True)
    assert response.status_code == 502 and service.error(response)["code"] == "engine_failed"
    assert response.headers["x-should-retry"] == "false" and response.headers["x-tao-arm"] == "champion"
    assert len(engine.seen) == 2 and "EngineDead" not in response.text


def test_one_that_says_it_is_not_ready_is_waited_for(service: Service, engine: LightEngine) -> None:
    engine.breaks = ["503"] * 4
    assert service.ask().status_code == 200 and len(engine.seen) == 5


def test_a_stream_that_breaks_in_the_middle_ends_with_an_error_event(service: Service, engine: LightEngine) -> None:
    engine.breaks = ["middle"]
    response = service.ask(stream=True)
    *words, error = [json.loads(line[6:]) for line in response.text.split("\n\n") if line]
    assert response.status_code == 200 and len(words) == 2 and error["error"]["code"] == "engine_broken"
    assert len(engine.seen) == 1


def test_a_request_waits_for_the_engine_that_is_started_again_elsewhere(service: Service, engine: LightEngine) -> None:
    lane = service.lanes.champion
    assert lane is not None
    lane.url = "http://127.0.0.1:9"  # nobody listens
    service.running.call(lane.lose)
    with Running(engine) as again:
        timer = threading.Timer(0.5, lambda: service.running.call(lambda: lane.regain(again.url, KEY, lane.served)))
        timer.start()
        response = service.ask()
        timer.join()
    assert response.status_code == 200 and len(engine.seen) == 1


def test_a_request_that_waits_for_an_engine_in_vain_may_be_tried_again(open_front: Make) -> None:
    service = open_front(restart_s=0.3)
    lane = service.lanes.champion
    assert lane is not None
    lane.url = "http://127.0.0.1:9"
    response = service.ask()
    assert response.status_code == 503 and "retry-after" in response.headers


def test_a_request_finds_another_lane_where_its_own_is_gone(service: Service, engine: LightEngine) -> None:
    with Running(engine) as other:
        candidate = lane_of(other, engine, Arm.CANDIDATE, version=4)
        service.lanes.share, service.lanes.candidate = 1.0, candidate
        assert service.ask().headers["x-tao-version"] == "4"
        service.running.call(candidate.lose)
        timer = threading.Timer(0.2, lambda: setattr(service.lanes, "candidate", None))
        timer.start()
        assert service.ask().headers["x-tao-version"] == "3"
        timer.join()


def test_an_answer_of_another_model_never_reaches_the_client(service: Service, engine: LightEngine) -> None:
    lane = service.lanes.champion
    assert lane is not None
    lane.served = Served(4, "bbbb", "/models/n")
    assert service.ask().status_code == 502
    assert service.metric("tao_mixed_total") == 2


def test_a_request_ends_at_its_limit(open_front: Make, engine: LightEngine) -> None:
    service = open_front(seconds=0.3)
    engine.pause_s = 5.0
    response = service.ask()
    assert response.status_code == 504 and response.headers["x-should-retry"] == "false"
    engine.pause_s = 0.2
    streamed = service.ask(stream=True)
    assert streamed.status_code == 200 and '"code": "timeout"' in streamed.text


def test_the_engine_stops_sampling_when_the_client_goes_away(service: Service, engine: LightEngine) -> None:
    engine.pause_s = 0.2
    with service.client.stream("POST", "/v1/chat/completions", json={**ASK, "stream": True}) as response:
        next(response.iter_raw())
    engine.pause_s = 10.0
    with pytest.raises(httpx.ReadTimeout):
        service.client.post("/v1/chat/completions", json=ASK, timeout=0.3)
    lane, until = service.lanes.champion, time.monotonic() + 5
    assert lane is not None
    while (engine.aborted < 2 or lane.under_way) and time.monotonic() < until:
        time.sleep(0.01)
    assert (engine.aborted, lane.under_way, service.metric("tao_requests_under_way")) == (2, 0, 0)


@pytest.mark.parametrize("seconds", [30.0, 0.2])
def test_a_client_that_reads_no_more_holds_nothing_up(
    seconds: float, engine: LightEngine, engine_runs: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tao_ops.serve.proxy._STALLED_S", 0.1 if seconds > 1 else 0.3)
    lane = lane_of(engine_runs, engine)
    proxied: list[str] = []

    async def send(message: Any) -> None:
        proxied.append(message["type"])
        if len(proxied) > 2:
            await asyncio.sleep(3600)

    async def play() -> None:
        proxy = Proxy(Lanes(lane), RequestIds(b"secret"), Metrics(), seconds=seconds)
        body = {"model": "tickets", "messages": [{"role": "user", "content": "a b c"}], "stream": True}
        async with asyncio.timeout(5):
            await proxy.answer(Ask("/v1/chat/completions", body, "anna", "req-1", "tickets", {}, stream=True), send)
        await proxy.close()

    asyncio.run(play())
    assert len(proxied) >= 3 and lane.under_way == 0


def test_a_request_that_waits_for_a_free_connection_broke_no_engine(
    open_front: Make, engine: LightEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tao_ops.serve.proxy._CONNECTIONS", 1)
    monkeypatch.setattr("tao_ops.serve.proxy._CONNECT_S", 0.1)
    service, engine.pause_s = open_front(), 1.0
    statuses: list[int] = []
    threads = [threading.Thread(target=lambda: statuses.append(service.ask().status_code)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200, 200] and service.metric("tao_engine_broken_total") == 0


def test_no_answer_is_lost_or_mixed_while_the_model_changes(service: Service, engine: LightEngine) -> None:
    engine.pause_s, lane = 0.005, service.lanes.champion
    assert lane is not None
    answers: list[httpx.Response] = []
    over = threading.Event()

    def ask(stream: bool) -> None:
        while not over.is_set():
            answers.append(service.ask(stream=stream))

    async def swap(version: int) -> None:
        async with lane.drained(10) as empty:
            assert empty
            await asyncio.sleep(0.02)
            engine.model_version = f"model-{version}"
            lane.served = Served(version, engine.model_version, "/models/n")

    threads = [threading.Thread(target=ask, args=(i % 2 == 0,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for version in range(4, 14):
        service.running.call(lambda version=version: swap(version))
        time.sleep(0.05)
    over.set()
    for thread in threads:
        thread.join()
    for answer in answers:
        made_by = set(re.findall(r'"system_fingerprint": ?"([^"]+)"', answer.text))
        assert answer.status_code == 200 and made_by == {answer.headers["x-tao-model"]}
        assert answer.text.endswith("[DONE]\n\n") or answer.json()["choices"][0]["finish_reason"] == "stop"
    assert len({answer.headers["x-tao-version"] for answer in answers}) >= 10
    assert service.metric("tao_mixed_total") == 0 and len(engine.seen) == len(answers)


def test_requests_at_once_are_answered_apart(tickets: Flywheel, engine: LightEngine, engine_runs: Running) -> None:
    answers: dict[int, str] = {}
    with front(tickets, lane_of(engine_runs, engine)) as service:

        def ask(i: int) -> None:
            answers[i] = service.ask(messages=[{"role": "user", "content": f"lamp {i}"}]).text

        threads = [threading.Thread(target=ask, args=(i,)) for i in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert all(json.loads(answers[i])["choices"][0]["message"]["content"] == f"lamp {i}" for i in range(20))
