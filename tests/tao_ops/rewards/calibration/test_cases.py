"""Cases hold numbers only, and a wrong line of the anchors' file is named."""

import json
from pathlib import Path
from typing import Any

import pytest

from tao_ops.errors import ConfigError
from tao_ops.rewards.calibration import Case, read_anchors

USER = {"role": "user", "content": "Which product?"}
GOOD: dict[str, Any] = {"messages": [USER], "responses": [{"text": "jacket", "correct": True}]}


def _file(folder: Path, *lines: Any) -> Path:
    path = folder / "anchors.jsonl"
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines), "utf-8")
    return path


def test_both_forms_are_read_and_empty_lines_do_not_count(tmp_path: Path) -> None:
    many = {**GOOD, "responses": [{"text": "a\u2028b", "correct": True, "count": 3}, {"text": "", "correct": False}]}
    one = {"messages": [USER], "response": "coat", "correct": False, "reference": "jacket"}
    path = tmp_path / "anchors.jsonl"
    path.write_text("\ufeff" + json.dumps(many, ensure_ascii=False) + "\r\n\r\n" + json.dumps(one) + "\n", "utf-8")
    first, second = read_anchors(path)
    assert [(r.text, r.correct, r.count) for r in first.responses] == [("a\u2028b", True, 3), ("", False, 1)]
    assert first.reference is None and second.reference == "jacket"
    assert [(r.text, r.correct) for r in second.responses] == [("coat", False)]


def test_a_system_message_is_left_out_as_it_is_of_logs(tmp_path: Path) -> None:
    turns = [{"role": "system", "content": "Be brief."}, USER, {"role": "assistant", "content": "?"}, USER]
    (anchor,) = read_anchors(_file(tmp_path, {**GOOD, "messages": turns}))
    assert [message["role"] for message in anchor.messages] == ["user", "assistant", "user"]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "not JSON"),
        ("[1]", "an anchor is no JSON object"),
        ({"responses": GOOD["responses"]}, "no 'messages'"),
        ({"messages": [USER]}, "no 'response'"),
        ({"messages": [USER], "response": "x"}, "no 'correct'"),
        ({"messages": [USER], "response": "x", "correct": 1}, "neither true nor false"),
        ({"messages": [USER], "response": "x", "correct": "yes"}, "neither true nor false"),
        ({**GOOD, "responses": []}, "'responses' is no list"),
        ({**GOOD, "responses": {"text": "x"}}, "'responses' is no list"),
        ({**GOOD, "responses": [{"text": "x"}]}, "no 'correct'"),
        ({**GOOD, "responses": [{"text": None, "correct": True}]}, "no text"),
        ({**GOOD, "responses": [{"text": "x", "correct": True, "count": 0}]}, "'count'"),
        ({**GOOD, "responses": [{"text": "x", "correct": True, "count": True}]}, "'count'"),
        ({**GOOD, "refrence": "x"}, "unknown key 'refrence'"),
        ({**GOOD, "reference": 3}, "'reference' is no text"),
        ({**GOOD, "messages": []}, "not a user's"),
        ({**GOOD, "messages": "hello"}, "'messages' is no list"),
        ({**GOOD, "messages": [USER, {"role": "assistant", "content": "x"}]}, "not a user's"),
        ({**GOOD, "messages": [{"role": "user", "content": " "}]}, "not a user's"),
        ({**GOOD, "messages": [{"role": "robot", "content": "x"}]}, "'robot' is no role"),
        ({**GOOD, "messages": [{"role": ["user"], "content": "x"}]}, "is no role"),
        ({**GOOD, "messages": [{"role": "user"}]}, "no 'content'"),
        ({**GOOD, "messages": [{"role": "user", "content": [1]}]}, "no text"),
        ("[" * 100_000, ""),
    ],
)
def test_a_wrong_line_is_named_with_what_is_wrong(tmp_path: Path, line: Any, says: str) -> None:
    path = _file(tmp_path, GOOD, "", line)
    with pytest.raises(ConfigError, match=r"anchors\.jsonl:3\]") as error:
        read_anchors(path)
    assert says in str(error.value)


def test_a_file_without_an_anchor_or_without_text_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no anchor"):
        read_anchors(_file(tmp_path, "", " "))
    with pytest.raises(ConfigError, match="cannot be read"):
        read_anchors(tmp_path / "missing.jsonl")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_anchors(tmp_path / "binary")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.1, 1.1])
def test_what_is_no_score_makes_no_case(value: float) -> None:
    with pytest.raises(ValueError, match="no score"):
        Case("q", {"json": value})


def test_a_label_is_right_or_wrong_and_comes_from_somewhere() -> None:
    with pytest.raises(ValueError, match="no label"):
        Case("q", {}, 0.5, "anchor")
    with pytest.raises(ValueError, match="source"):
        Case("q", {}, 1.0)
    with pytest.raises(ValueError, match="source"):
        Case("q", {}, None, "feedback")
