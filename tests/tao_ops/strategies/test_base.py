"""The answer is what follows the last marker, whatever a model likes to put around it."""

import pytest

from tao_ops.strategies.base import final_answer

MARKER = "Answer:"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Answer: 3", "3"),
        ("So\nAnswer:\n\n{}\n", "{}"),
        ("Answer: 1, no, Answer: 2", "2"),
        ("Answer:", ""),
        ("answer: 3", ""),
        ("the reasoning was cut", ""),
        ("Answer:\n```\n3\n```", "3"),
        ("Answer:\n```json\n{\n}\n``` \n", "{\n}"),
        ("**Answer:** 3", "3"),
        ("**Answer: 3**", "3"),
        ("Answer: **3**", "**3**"),
        ("## Answer:\n3", "3"),
    ],
)
def test_the_answer_is_what_follows_the_last_marker(text: str, answer: str) -> None:
    assert final_answer(text, MARKER) == answer


@pytest.mark.parametrize("text", ["```\na\n```\nand\n```\nb\n```", "```\na", "a\n```", "```a```", "```\na\n```\nDone."])
def test_only_a_fence_around_the_whole_answer_is_taken_off(text: str) -> None:
    assert final_answer(f"Answer:\n{text}", MARKER) == text


def test_without_a_marker_the_answer_is_the_whole_text(text: str = "```\n3\n```") -> None:
    assert final_answer(f" {text}\n", None) == text
