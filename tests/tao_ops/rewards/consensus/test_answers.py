"""What candidates are compared by."""

from collections.abc import Sequence

from tao_ops.records import Candidate
from tao_ops.rewards.consensus import canonical
from tao_ops.rewards.consensus.answers import clustered, json_answer, number_answer, text_answer


def test_values_of_other_types_are_other_answers_and_order_is_free() -> None:
    assert json_answer('{"n": 1}') != json_answer('{"n": "1"}') != json_answer('{"n": true}')
    assert json_answer('{"n": {"b": 1, "a": 2}}') == json_answer('{"n": {"a": 2, "b": 1}}')
    assert canonical('{"b": 1, "a": "x"}') == canonical('{"a":"x","b":1}')


def test_texts_are_compared_with_single_blanks() -> None:
    assert text_answer("it is  late") == text_answer(" it is late\n") != text_answer("it is Late")
    assert text_answer('{"a": 1}') != text_answer('{ "a": 1 }')  # as text, and not as JSON


def test_numbers_are_compared_by_their_value() -> None:
    assert number_answer("So it costs $1,200.00.") == number_answer("1200") == {"": "1200"}
    assert number_answer("no idea") is None and number_answer(" ") == {}


def _letters(texts: Sequence[str]) -> list[list[float]]:
    """Unit vectors: the first letter says which axis."""
    return [[float(text[0] == letter) for letter in "abc"] for text in texts]


def test_texts_that_mean_the_same_are_one_answer_within_their_query() -> None:
    batch = [Candidate("q1", "", text) for text in ("apple", "avocado", "banana", "")]
    batch += [Candidate("q2", "", "apricot"), Candidate("q2", "", "avocado")]
    first = [answer.get("") for answer in clustered(batch, _letters, 0.9)]
    assert first == ["apple", "apple", "banana", None, "apricot", "apricot"]


def test_one_without_a_vote_joins_a_cluster_and_changes_none() -> None:
    vectors = {"a": [1.0, 0.0], "b": [0.0, 1.0], "between": [0.8, 0.6]}
    voters = [Candidate("q", "", text) for text in ("a", "b")]
    probe = Candidate("q", "", "between", votes=False)

    def embed(texts: Sequence[str]) -> list[list[float]]:
        return [vectors[text] for text in texts]

    assert clustered([*voters, probe], embed, 0.7) == [{"": "a"}, {"": "b"}, {"": "a"}]
    assert clustered([*voters, probe], embed, 0.9) == [{"": "a"}, {"": "b"}, {"": "between"}]
