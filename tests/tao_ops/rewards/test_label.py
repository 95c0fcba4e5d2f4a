from pathlib import Path

import pytest

from tao_ops.errors import ConfigError
from tao_ops.records import Candidate
from tao_ops.rewards.base import Score
from tao_ops.rewards.label import read, score

LABELS = ("refund", "lost card", "Straße")


@pytest.mark.parametrize(
    ("text", "case", "reference", "expected"),
    [
        ("refund", True, None, Score(1.0)),
        ("\n lost card ", True, None, Score(1.0)),
        ("Refund", True, None, Score(0.0, "no label")),
        ("Refund", False, None, Score(1.0)),
        ("STRASSE", False, None, Score(1.0)),
        ("refund.", True, None, Score(0.0, "no label")),
        ("refund, lost card", True, None, Score(0.0, "no label")),
        ("The label is refund", True, None, Score(0.0, "no label")),
        ("", True, None, Score(0.0, "no label")),
        ("refund", True, "refund ", Score(1.0)),
        ("refund", True, "lost card", Score(0.0, "another label")),
        ("refund", False, "REFUND", Score(1.0)),
    ],
)
def test_exactly_one_label(text: str, case: bool, reference: str | None, expected: Score) -> None:
    assert score([Candidate("q", "", text, reference=reference)], labels=LABELS, case=case) == [expected]


def test_labels_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text("\ufeffrefund\r\n\n  lost card \n", encoding="utf-8")
    assert read(path) == ("refund", "lost card")


@pytest.mark.parametrize(
    ("content", "said"), [(b"\n \n", "no label"), (b"a\nb\na\n", "'a' is there twice"), (b"\xff\xfe", "cannot be read")]
)
def test_a_file_of_labels_that_is_none_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "labels.txt"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=said):
        read(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read(tmp_path / "gone.txt")
