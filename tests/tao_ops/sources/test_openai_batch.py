"""Output of the Batch API finds its requests in the input files."""

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tao_ops.config import SourceConfig
from tao_ops.errors import DataError
from tao_ops.sources.openai_batch import reader
from tao_ops.sources.records import BrokenLine, LoggedQuery
from tao_ops.tables import Reason

MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Where is my order?"}]
ANSWER = {"created": 1795248843, "model": "m-1", "choices": [{"message": {"content": "On its way."}}]}


def _request(custom_id: str = "c1", url: str = "/v1/chat/completions", **body: Any) -> dict[str, Any]:
    known = {"model": "m", "messages": MESSAGES, "user": "u1", "metadata": {"task": "tickets"}}
    return {"custom_id": custom_id, "method": "POST", "url": url, "body": {**known, **body}}


def _output(**changes: Any) -> dict[str, Any]:
    response = {"status_code": 200, "request_id": "req-1", "body": ANSWER}
    return {"id": "batch_req_1", "custom_id": "c1", "response": response, "error": None, **changes}


def _inputs(folder: Path, *requests: Any, name: str = "in.jsonl") -> None:
    content = "".join(f"{json.dumps(request)}\n" for request in requests).encode()
    (folder / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)


def _read(folder: Path, *outputs: Any) -> list[LoggedQuery | BrokenLine]:
    parse = reader(SourceConfig(format="openai_batch", path="x", requests=f"{folder}/in*.jsonl*"))
    return [found for number, output in enumerate(outputs, 1) for found in parse(output, f"out:{number}")]


def test_a_line_of_output_is_read_whole(tmp_path: Path) -> None:
    _inputs(tmp_path, _request(), name="in.jsonl.gz")
    assert _read(tmp_path, _output()) == [
        LoggedQuery(
            position="out:1",
            request_id="batch_req_1",
            received_at=datetime(2026, 11, 21, 8, 14, 3, tzinfo=UTC),
            messages=({"role": "user", "content": "Where is my order?"},),
            system="Be brief.",
            task="tickets",
            model="m",
            route="/v1/chat/completions",
            user="u1",
            model_version="m-1",
            response="On its way.",
        )
    ]


def test_the_responses_api_is_read_too(tmp_path: Path) -> None:
    request = _request(url="/v1/responses", messages=None, input="Where is my order?", instructions="Be brief.")
    _inputs(tmp_path, request)
    spoken = {"type": "message", "content": [{"type": "output_text", "text": "On its way."}]}
    answer = {"created_at": 1795248843, "model": "m-1", "output": [{"type": "reasoning"}, spoken]}
    (query,) = _read(tmp_path, _output(response={"status_code": 200, "body": answer}))
    assert isinstance(query, LoggedQuery)
    assert (query.messages[0]["content"], query.system) == ("Where is my order?", "Be brief.")
    assert query.response == "On its way."


def test_one_custom_id_with_two_requests_is_refused_by_name_and_the_same_twice_is_one(tmp_path: Path) -> None:
    _inputs(tmp_path, _request(), _request("c2"), name="in-1.jsonl")
    _inputs(tmp_path, _request(temperature=1), _request("c2"), name="in-2.jsonl")
    broken, query = _read(tmp_path, _output(), _output(custom_id="c2"))
    assert isinstance(broken, BrokenLine) and broken.reason is Reason.WRONG_SHAPE and "'c1'" in broken.text
    assert isinstance(query, LoggedQuery)


def test_one_custom_id_in_two_batches_makes_two_queries(tmp_path: Path) -> None:
    _inputs(tmp_path, _request())
    first, second = _read(tmp_path, _output(), _output(id="batch_req_2"))
    assert isinstance(first, LoggedQuery) and isinstance(second, LoggedQuery)
    assert first.request_id != second.request_id


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (_output(custom_id="c9"), Reason.NO_MESSAGES),
        (_output(response=None, error={"code": "batch_expired"}), Reason.NO_TIME),
        (_output(response={"status_code": 500, "body": {"error": {}}}), Reason.NO_TIME),
        (_output(custom_id=None), Reason.WRONG_SHAPE),
        ([], Reason.WRONG_SHAPE),
        (None, Reason.WRONG_SHAPE),
    ],
)
def test_a_line_that_is_no_query_has_its_reason(tmp_path: Path, output: Any, reason: Reason) -> None:
    _inputs(tmp_path, _request())
    (broken,) = _read(tmp_path, output)
    assert isinstance(broken, BrokenLine) and broken.reason is reason


def test_an_embedding_is_no_query(tmp_path: Path) -> None:
    _inputs(tmp_path, _request(url="/v1/embeddings", messages=None, input="Where is my order?"))
    (broken,) = _read(tmp_path, _output())
    assert isinstance(broken, BrokenLine) and broken.reason is Reason.NO_MESSAGES and broken.user == "u1"


def test_broken_lines_of_the_inputs_are_told_once_with_their_own_places(tmp_path: Path) -> None:
    _inputs(tmp_path, {"custom_id": 7}, _request())
    broken, first, second = _read(tmp_path, _output(), _output(id="batch_req_2"))
    assert isinstance(broken, BrokenLine) and broken.reason is Reason.WRONG_SHAPE
    assert broken.position.endswith("in.jsonl:1")
    assert isinstance(first, LoggedQuery) and isinstance(second, LoggedQuery)


def test_inputs_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"in\*\.jsonl"):
        _read(tmp_path, _output())
