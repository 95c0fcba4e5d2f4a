"""A stream that the engine broke off is told from one that its client left."""

from tao_ops.serve.capture.exchanges import assembled

CHUNK = b'data: {"id": "a", "choices": [{"index": 0, "delta": {"content": "Hel"}}]}\n\n'


def test_an_error_in_a_stream_stays_beside_what_had_come() -> None:
    body, whole = assembled(CHUNK + b'data: {"error": {"message": "the engine ended"}}\n\n')
    assert body is not None and not whole
    assert body["choices"][0]["message"]["content"] == "Hel"
    assert body["error"] == {"message": "the engine ended"}


def test_a_stream_that_only_stops_has_no_error() -> None:
    body, whole = assembled(CHUNK)
    assert body is not None and not whole and "error" not in body


def test_an_error_before_any_text_is_told() -> None:
    assert assembled(b'data: {"error": {"message": "no"}}\n\n') == ({"choices": [], "error": {"message": "no"}}, False)


def test_choices_that_are_none_are_left_out() -> None:
    body, whole = assembled(CHUNK + b'data: {"id": "a", "choices": 5}\n\ndata: [DONE]\n\n')
    assert body is not None and whole and len(body["choices"]) == 1
