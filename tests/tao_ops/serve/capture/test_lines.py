"""What is written holds nothing personal, and what ingest makes of it is what it makes of any other log."""

from datetime import UTC, datetime
from typing import Any

from tao_ops.config import CaptureConfig, PrivacyConfig
from tao_ops.serve.capture.lines import Lines
from tao_ops.serve.capture.setup import Setup
from tao_ops.serve.exchange import Arm, Exchange

CLEAN = PrivacyConfig(names=False)


def _exchange(request: dict[str, Any], response: dict[str, Any], **changes: Any) -> Exchange:
    told: dict[str, Any] = {
        "request_id": "r", "received_at": datetime(2026, 11, 21, tzinfo=UTC), "route": "/v1/chat/completions",
        "status": 200, "whole": True, "user": "anna@example.org", "task": "t", "arm": Arm.CHAMPION, "version": 1,
        "model_version": "d", "seconds": 1.0, "first_seconds": 0.5, "prompt_tokens": None, "tokens": None,
    }  # fmt: skip
    return Exchange(**{**told, **changes}, request=request, response=response)


def _lines() -> Lines:
    privacy = {"t": CLEAN, "u": PrivacyConfig(kinds=(), names=False)}
    return Lines(Setup("x", b"k", CaptureConfig(), privacy=privacy, strictest=CLEAN))


def test_every_text_is_redacted_and_what_nobody_knows_is_left_out() -> None:
    request = {
        "model": "m", "user": "anna@example.org", "temperature": 0.5, "stop": ["a@example.org"],
        "unknown": "a@example.org",
        "metadata": {"task": "t", "mail": "a@example.org", "tags": ["beta", "of anna@example.org"]},
        "messages": [
            {"role": "system", "content": "Ask boss@example.org."},
            {"role": "user", "name": "Anna", "content": [
                {"type": "text", "text": "I am anna@example.org"},
                {"type": "image_url", "image_url": {"url": "data:a"}},
            ]},
            {"role": "assistant", "content": None, "tool_calls": [{"function": {"arguments": "anna@example.org"}}]},
            {"role": "user", "content": "or bert@example.org, not anna@example.org"},
        ],
    }  # fmt: skip
    response = {
        "choices": [
            {"message": {"content": "Dear bert@example.org"}, "logprobs": {"content": [{"token": "a@example.org"}]}}
        ]
    }
    record = _lines().of_exchange(_exchange(request, response))
    assert isinstance(record, dict)
    assert "example.org" not in str(record) and "data:a" not in str(record) and "Anna" not in str(record)
    asked = record["request"]
    assert asked["messages"][1]["content"] == [{"type": "text", "text": "I am <EMAIL_1>"}, {"type": "other"}]
    assert asked["messages"][2]["tool_calls"] and asked["messages"][3]["content"] == "or <EMAIL_2>, not <EMAIL_1>"
    assert record["response"]["choices"][0]["message"]["content"] == "Dear <EMAIL_2>"
    assert asked["messages"][0]["content"] == "Ask <EMAIL_3>." and record["tags"] == ["beta", "of <EMAIL_1>"]
    assert asked["temperature"] == 0.5 and asked["metadata"] == {"task": "t"}


def test_a_task_says_what_is_taken_out_and_an_unknown_one_loses_all() -> None:
    request = {"messages": [{"role": "user", "content": "a@example.org"}]}
    said = [
        record["request"]["messages"][0]["content"]
        for task in ("t", "u", "other", None)
        if isinstance(record := _lines().of_exchange(_exchange(request, {"choices": []}, task=task)), dict)
    ]
    assert said == ["<EMAIL_1>", "a@example.org", "<EMAIL_1>", "<EMAIL_1>"]


def test_a_shadows_answer_is_nobodys() -> None:
    assert _lines().of_exchange(_exchange({}, {}, arm=Arm.SHADOW)) == "shadow"
    assert _lines().of_exchange(_exchange({}, {}, whole=False)) == "unanswered"


def test_a_corrected_answer_is_redacted() -> None:
    told = {
        "kind": "feedback",
        "request_id": "r",
        "received_at": "t",
        "feedback": None,
        "corrected": "to a@example.org",
    }
    assert _lines().of_feedback(told)["corrected"] == "to <EMAIL_1>"


def test_a_path_is_redacted_too_and_numbers_are_ones_that_json_has() -> None:
    request = {"messages": [], "temperature": float("nan"), "top_p": float("inf"), "seed": 10**400, "stream": True}
    route = "/of/anna@example.org/chat/completions"
    record = _lines().of_exchange(_exchange(request, {"choices": 5}, route=route))
    assert isinstance(record, dict) and record["route"] == "/of/<EMAIL_1>/chat/completions"
    assert record["request"].keys() == {"messages", "metadata", "seed", "stream"}
    assert record["response"]["choices"] == []
