from tao_ops.answers import strict_object


def test_a_repeated_key_and_a_constant_are_no_json_at_any_depth() -> None:
    assert strict_object('{"a": {"b": 1, "b": 2}}') is None
    assert strict_object('{"a": [Infinity]}') is None
    assert strict_object('{"a": {"b": 1}}') == {"a": {"b": 1}}


def test_blanks_around_an_object_are_not_the_answer() -> None:
    assert strict_object(' \n{"a": "b"}\t') == {"a": "b"}
    assert strict_object('{"a": "b"} as you asked') is None


def test_brackets_within_a_text_are_no_nesting() -> None:
    assert strict_object('{"a": "' + "[" * 999 + '\\""}') == {"a": "[" * 999 + '"'}
    assert strict_object('{"a": ' + "[" * 250 + "]" * 250 + "}") is None


def test_an_unclosed_text_full_of_quotes_is_read_in_no_time() -> None:
    assert strict_object("[]" * 201 + '"' + '\\"' * 200_000) is None
    assert strict_object("[]" * 201 + '"\\') is None
