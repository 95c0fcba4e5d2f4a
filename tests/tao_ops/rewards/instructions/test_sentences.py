import pytest

from tao_ops.rewards.instructions.sentences import count


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("", 0),
        ("...", 0),
        ("42.", 1),
        ("It rained. Why not? Stop!", 3),
        ("Hi!!! Who?!", 2),
        ("One... two.", 2),
        ("no capital letter. but two.", 2),
        ("Mr. Brown paid $4.50 at 3.30 p.m. on the hill.", 1),
        ("We met Dr. Who, i.e. no one, vs. Prof. X.", 1),
        ("He works for Brown Inc. now. She works for Green Ltd. They met.", 3),
        ("He said no. Then he left.", 2),
        ("See No. 5 and Fig. 3 now.", 1),
        ("John F. Kennedy spoke.", 1),
        ("Box A costs more than box B. How much more?", 2),
        ("Farm X has more than farm Y.\nThere are ten.", 2),
        ("So do I. You too.", 2),
        ('He said "Go." Then he left.', 2),
        ("The answer? 42. Next one.", 3),
        ("1. Call us.\n2. Wait.\n3. Pay.", 3),
        ("A heading\n\nAnd a text without a full stop", 1),
        ("你好。再见！", 2),
        ("सभी मनुष्यों को समानता प्राप्त है। उन्हें बुद्धि प्राप्त है।", 2),
    ],
)
def test_where_sentences_end(text: str, sentences: int) -> None:
    assert count(text) == sentences


@pytest.mark.parametrize("text", ["." * 200_000 + "x", "a. " * 50_000, "\n" * 200_000, "1. " * 50_000, "!x" * 100_000])
def test_a_hostile_text_is_read_in_no_time(text: str) -> None:
    assert count(text) >= 0
