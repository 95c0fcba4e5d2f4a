"""Airflow's REST API, answered by a stand-in."""

import json
from collections.abc import Callable

import httpx
import pytest

from tao_ops.local import client as module
from tao_ops.local.client import AirflowClient, AirflowError

Answer = Callable[[httpx.Request], httpx.Response]


def client(monkeypatch: pytest.MonkeyPatch, answer: Answer) -> AirflowClient:
    def respond(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/auth/token":
            return httpx.Response(201, json={"access_token": "a token"})
        assert request.headers["Authorization"] == "Bearer a token"
        return answer(request)

    monkeypatch.setattr(module.time, "sleep", lambda seconds: None)
    return AirflowClient("http://airflow", "password", httpx.MockTransport(respond))


def test_a_server_that_is_busy_or_gone_for_a_moment_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [
        httpx.Response(503),
        httpx.ConnectError("refused"),
        httpx.Response(401),
        httpx.Response(200, json={}),
    ]

    def answer(request: httpx.Request) -> httpx.Response:
        given = answers.pop(0)
        if isinstance(given, Exception):
            raise given
        return given

    assert client(monkeypatch, answer).dag("a") == {}
    assert answers == []


def test_a_refusal_is_told_at_once_and_silence_after_some_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def refuse(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(422, text="conf: not a dict")

    with pytest.raises(AirflowError, match="dagRuns: 422 conf: not a dict"):
        client(monkeypatch, refuse).trigger("a", conf={}, note="")
    assert len(asked) == 1

    def die(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        raise httpx.ConnectError("refused")

    with pytest.raises(AirflowError, match="ConnectError: refused"):
        client(monkeypatch, die).runs("a")
    assert len(asked) == 1 + module.ATTEMPTS


def test_a_log_is_lines_with_the_message_of_an_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    content = [
        {"event": "/a/file.log"},
        {"event": "::group::Pre Execute", "level": "info", "logger": "task"},
        {"event": "64 of 130", "level": "info", "logger": "airflow.task.operators.x.StageOperator"},
        {"event": "Task failed", "level": "error", "error_detail": [{"exc_value": "killed by SIGKILL"}]},
    ]

    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.raw_path.startswith(b"/api/v2/dags/a/dagRuns/scheduled__2026-11-22T00%3A00")
        assert request.url.params["map_index"] == "3"
        return httpx.Response(200, json={"content": content})

    task = {"task_id": "explore.score", "map_index": 3, "try_number": 2}
    lines = client(monkeypatch, answer).log("a", "scheduled__2026-11-22T00:00:00+00:00", task)
    assert [(line.text, line.of_stage) for line in lines] == [
        ("64 of 130", True),
        ("Task failed: killed by SIGKILL", False),
    ]


def test_an_existing_pool_and_a_dag_that_is_not_there_are_no_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    client(monkeypatch, lambda request: httpx.Response(409)).ensure_pool("gpu", 1)
    assert client(monkeypatch, lambda request: httpx.Response(404)).dag("a") is None


def test_tasks_are_read_page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    every = [{"task_id": f"generate {number}"} for number in range(250)]

    def page(request: httpx.Request) -> httpx.Response:
        first, most = int(request.url.params["offset"]), int(request.url.params["limit"])
        return httpx.Response(200, json={"task_instances": every[first : first + most], "total_entries": len(every)})

    assert client(monkeypatch, page).tasks("a", "b") == every


def test_a_trigger_whose_answer_was_lost_starts_one_run(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []

    def lose_the_first_answer(request: httpx.Request) -> httpx.Response:
        run_id = json.loads(request.content)["dag_run_id"]
        if run_id in started:
            return httpx.Response(409)
        started.append(run_id)
        raise httpx.ReadTimeout("no answer")

    assert [client(monkeypatch, lose_the_first_answer).trigger("a", conf={}, note="")] == started
