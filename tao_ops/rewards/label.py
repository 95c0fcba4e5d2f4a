"""``label``: the response is one of a closed set of labels, or the right one where that is known."""

from collections.abc import Sequence
from pathlib import Path

from tao_ops.errors import ConfigError
from tao_ops.records import Candidate
from tao_ops.rewards.base import Score


def score(batch: Sequence[Candidate], *, labels: Sequence[str], case: bool) -> list[Score]:
    """1 where the text, without blanks at its ends, is a label, and the reference's where there is one; else 0.

    Args:
        batch: what is scored.
        labels: the closed set.
        case: whether case matters.

    >>> batch = [Candidate("q", "", " refund "), Candidate("q", "", "refund."), Candidate("q", "", "refund",
    ...          reference="card")]
    >>> [found.value for found in score(batch, labels=["refund", "card"], case=True)]
    [1.0, 0.0, 0.0]
    """
    known = {_plain(label, case) for label in labels}
    return [_one(candidate, known, case) for candidate in batch]


def read(path: Path) -> tuple[str, ...]:
    """The labels of a file with one a line; blank lines are passed over.

    Raises:
        ConfigError: the file cannot be read, holds no label, or one twice.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the labels cannot be read: {error}", where=path, mend="save them as UTF-8") from None
    labels = [line.strip() for line in text.splitlines() if line.strip()]
    if not labels:
        raise ConfigError("there is no label", where=path, mend="write one label a line")
    if doubled := next((label for label in labels if labels.count(label) > 1), None):
        raise ConfigError(f"the label {doubled!r} is there twice", where=path)
    return tuple(labels)


def _one(candidate: Candidate, known: set[str], case: bool) -> Score:
    said = _plain(candidate.text, case)
    if said not in known:
        return Score(0.0, "no label")
    if candidate.reference is not None and said != _plain(candidate.reference, case):
        return Score(0.0, "another label")
    return Score(1.0)


def _plain(text: str, case: bool) -> str:
    return text.strip() if case else text.strip().casefold()
