"""IFEval's 25 constraints: what follows each, and what does not."""

from typing import Any

import pytest

from tao_ops.errors import ConfigError
from tao_ops.records import Candidate
from tao_ops.rewards.base import Score
from tao_ops.rewards.instructions import RULES, check, follows, score

GERMAN = "Alle Menschen sind frei und gleich an Würde und Rechten geboren."
ENGLISH = "All human beings are born free and equal in dignity and rights."
WORDS: dict[str, Any] = {"id": "length_constraints:number_words", "num_words": 3}
NTH = {"id": "length_constraints:nth_paragraph_first_word", "num_paragraphs": 2, "nth_paragraph": 2, "first_word": "so"}

CASES: list[tuple[dict[str, Any], list[str], list[str]]] = [
    (
        {"id": "keywords:existence", "keywords": ["C++", "cat"]},
        ["C++ and Cats", "c++ cat"],
        ["C and a cat", "CCC cat", "C++"],
    ),
    (
        {"id": "keywords:frequency", "keyword": "cat", "frequency": 2, "relation": "at least"},
        ["Cat, cat", "cats and concatenate"],
        ["cat", "dog"],
    ),
    (
        {"id": "keywords:frequency", "keyword": "cat", "frequency": 2, "relation": "less than"},
        ["cat", "dog"],
        ["cat cat"],
    ),
    (
        {"id": "keywords:forbidden_words", "forbidden_words": ["rock", "C++"]},
        ["rocks", "a crock of C"],
        ["Rock!", "on the rock", "in C++."],
    ),
    (
        {"id": "keywords:letter_frequency", "letter": "e", "let_frequency": 2, "let_relation": "at least"},
        ["Eel", "see"],
        ["e", "dog"],
    ),
    (
        {"id": "keywords:letter_frequency", "letter": "#", "let_frequency": 2, "let_relation": "less than"},
        ["#tag", "tag"],
        ["#a #b", "##"],
    ),
    ({"id": "language:response_language", "language": "de"}, [GERMAN], [ENGLISH, f"{ENGLISH}\n{GERMAN}"]),
    (
        {"id": "length_constraints:number_sentences", "num_sentences": 2, "relation": "at least"},
        ["One. Two.", "One! Two? Three."],
        ["One.", "1. One"],
    ),
    (
        {"id": "length_constraints:number_paragraphs", "num_paragraphs": 2},
        ["a\n***\nb", "a *** b", "***\na\n***\nb\n***"],
        ["a", "a\n***\n***\nb", "a\n***\nb\n***\nc", "a\n\nb"],
    ),
    ({**WORDS, "relation": "at least"}, ["one two three", "don't go"], ["one two", "one - two"]),
    ({**WORDS, "relation": "less than"}, ["one two", "?"], ["one two three", "don't go"]),
    (
        NTH,
        ["a\n\nso it is", "a\n\n\n\nSo, it is", '\n\na\n\n"So" it is'],
        ["so\n\na", "a\n\nsofa", "so it is", "a\n\nso\n\nb"],
    ),
    (
        {"id": "detectable_content:number_placeholders", "num_placeholders": 2},
        ["[name] at [place]", "[a] [b [c]]"],
        ["[name]", "[name] []", "[name] [ ]", "[a\nb] [c]"],
    ),
    (
        {"id": "detectable_content:postscript", "postscript_marker": "P.S."},
        ["Hi\nP.S. Bye", "Hi\n\n**p. s.** Bye", "1. P.S. Bye"],
        ["Hi", "Hi P.S. Bye", "Hi\nP.S.", "Hi\nP.P.S. Bye", "Hi\nG.P.S. Bye", "Hi\nPS: Bye"],
    ),
    (
        {"id": "detectable_content:postscript", "postscript_marker": "P.P.S"},
        ["Hi\nP.P.S. Bye"],
        ["Hi\nP.S. Bye", "Hi\nP.P.S."],
    ),
    (
        {"id": "detectable_format:number_bullet_lists", "num_bullets": 2},
        ["* a\n* b", "Hi\n- a\n  - b", "* a\n* b\n---\n*slanted* c", "* a\n- b\n* * *\n-5 c"],
        ["* a", "* a\n* b\n* c", "• a\n• b", "*a\n*b"],
    ),
    (
        {"id": "detectable_format:constrained_response"},
        ["My answer is yes.", "Well. My answer is no."],
        ["yes", "My answer is yes. My answer is no.", "my answer is yes", "My answer is yes"],
    ),
    (
        {"id": "detectable_format:number_highlighted_sections", "num_highlights": 2},
        ["*a* and *b c*", "**a** and ***b***"],
        ["*a*", "***a***", "*a* and 2 * 3 * 4", "*a* **", "* a\n* b\n*c*", "*a* *b\nc*"],
    ),
    (
        {"id": "detectable_format:multiple_sections", "section_spliter": "Section", "num_sections": 2},
        ["Section 1\na\nSection 2\nb", "## Section 1\na\n**Section 2:** b", "Section 1 a\nSection 2 b\nSection 3 c"],
        [
            "Section 1\na",
            "Section 1\na\nSection 1\nb",
            "Section 1\nas in Section 2",
            "SECTION 1\nSECTION 2",
            "Section A",
        ],
    ),
    (
        {"id": "detectable_format:json_format"},
        ['{"a": 1}', " [1]\n", '```json\n{"a": 1}\n```', "```\n[1]```"],
        ["a", "12", '"a"', '{"a": NaN}', '{"a": 1, "a": 2}', '```json\n{"a": 1}', 'Sure: {"a": 1}', "```", "``````"],
    ),
    (
        {"id": "detectable_format:title"},
        ["<<A poem>>\nIt is so.", "It <<is>> so", "<<<a>>>"],
        ["<A poem>", "<<>>", "<< >>", "<<A\npoem>>", "<<A poem"],
    ),
    (
        {"id": "combination:two_responses"},
        ["a\n******\nb", "******\na\n******\nb\n******"],
        ["a", "a\n******\na", "a\n******\n A ", "a\n******\nb\n******\nc", "a\n******\n******\nb", "a ****** "],
    ),
    (
        {"id": "combination:repeat_prompt", "prompt_to_repeat": "Write a joke."},
        ["Write a joke.\nKnock knock.", " write a JOKE. Ha"],
        ["Write a joke.", "Sure! Write a joke. Ha", "Write a good joke. Ha", "Write a joke. ..."],
    ),
    (
        {"id": "startend:end_checker", "end_phrase": "Peace!"},
        ["So, peace!", '"Peace!"\n', "“Go in peace!”"],
        ["Peace! Bye", "peace"],
    ),
    ({"id": "startend:quotation"}, ['"so"', ' "so" \n', "“so”"], ["so", '"so', "'so'", '""', '"', '" "']),
    (
        {"id": "change_case:capital_word_frequency", "capital_frequency": 2, "capital_relation": "at least"},
        ["GO NOW", "I'm in the USA's WELL-KNOWN hills", "R&D and X2"],
        ["GO now", "I'M here", "WELL-KNOWN", "Go Now"],
    ),
    ({"id": "change_case:english_capital"}, [ENGLISH.upper()], [ENGLISH, GERMAN.upper(), f"{ENGLISH.upper()} ok"]),
    ({"id": "change_case:english_lowercase"}, [ENGLISH.lower()], [ENGLISH, GERMAN.lower()]),
    ({"id": "punctuation:no_comma"}, ["no; not one"], ["yes, one", "1,000", "你好，再见", "نعم، لا"]),
]


@pytest.mark.parametrize(("constraint", "kept", "broken"), CASES, ids=[case[0]["id"] for case in CASES])
def test_what_follows_and_what_does_not(constraint: dict[str, Any], kept: list[str], broken: list[str]) -> None:
    assert [text for text in kept if follows(text, constraint) is not True] == []
    assert [text for text in [*broken, "", " \n"] if follows(text, constraint) is not False] == []


def test_each_of_the_25_is_tried() -> None:
    assert {constraint["id"] for constraint, _, _ in CASES} == set(RULES) and len(RULES) == 25


def test_the_value_is_the_share_that_is_followed_and_the_reason_names_the_others() -> None:
    constraints = [{"id": "punctuation:no_comma"}, {"id": "startend:quotation"}, {**WORDS, "relation": "at least"}]
    texts = ['"one two three"', "one two three", "one, two", ""]
    assert score([Candidate("q", "", text) for text in texts], constraints=constraints) == [
        Score(1.0),
        Score(2 / 3, "breaks startend:quotation"),
        Score(0.0, "breaks punctuation:no_comma, startend:quotation, length_constraints:number_words"),
        Score(0.0, "empty"),
    ]


def test_what_cannot_be_told_does_not_count() -> None:
    language = {"id": "language:response_language", "language": "de"}
    assert score([Candidate("q", "", "Ja.")], constraints=[language]) == [Score(None, "no constraint can be decided")]
    assert score([Candidate("q", "", "Ja.")], constraints=[language, {"id": "punctuation:no_comma"}]) == [Score(1.0)]


@pytest.mark.parametrize(
    ("constraint", "said"),
    [
        ({"id": "keywords:magic"}, "constraints[1]: unknown id 'keywords:magic'"),
        ({"num_words": 3}, "unknown id None"),
        ({**WORDS}, "needs 'relation'"),
        ({**WORDS, "relation": "at most"}, "none of ('less than', 'at least')"),
        ({**WORDS, "relation": "at least", "num_words": "3"}, "'num_words' = '3', which is no whole number"),
        ({**WORDS, "relation": "at least", "num_words": True}, "no whole number"),
        ({"id": "punctuation:no_comma", "letter": "a"}, "takes no 'letter'"),
        ({"id": "keywords:existence", "keywords": []}, "no list of texts"),
        ({"id": "keywords:existence", "keywords": "cat"}, "no list of texts"),
        ({"id": "language:response_language", "language": "German"}, "no code of ISO 639-1"),
        ({**NTH, "nth_paragraph": 3}, "has 'nth_paragraph' = 3, of 2"),
        ({"id": "keywords:letter_frequency", "letter": "ab", "let_frequency": 1, "let_relation": "at least"}, "single"),
    ],
)
def test_a_wrong_entry_is_refused(constraint: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as error:
        check([{"id": "punctuation:no_comma"}, constraint], "flywheel.yaml")
    assert said in str(error.value) and "flywheel.yaml" in str(error.value)


def test_arguments_that_are_null_are_not_given_as_in_ifeval_s_own_rows() -> None:
    check([{"id": "punctuation:no_comma", "num_words": None, "relation": None}])


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, "[" + "a" * 100_000, "<<" * 50_000, "*" * 100_000, "*a" * 50_000, "```" + " " * 100_000 + "x"],
)
def test_a_hostile_text_is_read_in_no_time(text: str) -> None:
    for constraint, _, _ in CASES:
        assert follows(text, constraint) in (True, False, None)
