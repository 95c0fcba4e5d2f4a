from tao_ops.records import Candidate
from tao_ops.rewards.base import Score
from tao_ops.rewards.regex import score


def one(text: str, pattern: str, whole: bool = True) -> Score:
    return score([Candidate("q", "", text)], pattern=pattern, whole=whole)[0]


def test_the_whole_text_or_a_part_of_it_has_to_match() -> None:
    assert one(" AB-12\n", "[A-Z]+-[0-9]+") == Score(1.0)
    assert one("it is AB-12", "[A-Z]+-[0-9]+") == Score(0.0, "no match")
    assert one("it is AB-12", "[A-Z]+-[0-9]+", whole=False) == Score(1.0)
    assert one("yes or no", "yes|yes or no") == Score(1.0)


def test_a_pattern_without_end_is_undecided_and_the_next_response_is_not() -> None:
    found = score([Candidate("q", "", text) for text in ("a" * 60 + "!", "aaa")], pattern="(a+)+", whole=True)
    assert found == [Score(None, "time limit"), Score(1.0)]


def test_no_candidates_no_scores() -> None:
    assert score([], pattern="a", whole=True) == []
