"""The trial on small data: the checkers that need none of nltk's."""

import json
import random
from pathlib import Path

from tao_ops.rewards import instructions
from trials.checkers import gsm8k, quirks
from trials.checkers.responses import MAKERS, made

POOL = ["It rained, so we stayed. Why not?\nA second line.", "The bill was $4.50.", "How do I get my card back?"]
GIVEN = {
    "keywords:existence": {"keywords": ["cat", "hat"]},
    "keywords:frequency": {"keyword": "cat", "frequency": 3, "relation": "at least"},
    "keywords:forbidden_words": {"forbidden_words": ["dog"]},
    "keywords:letter_frequency": {"letter": "q", "let_frequency": 4, "let_relation": "less than"},
    "language:response_language": {"language": "de"},
    "length_constraints:number_sentences": {"num_sentences": 4, "relation": "less than"},
    "length_constraints:number_paragraphs": {"num_paragraphs": 3},
    "length_constraints:number_words": {"num_words": 50, "relation": "at least"},
    "length_constraints:nth_paragraph_first_word": {"num_paragraphs": 3, "nth_paragraph": 2, "first_word": "weekend"},
    "detectable_content:number_placeholders": {"num_placeholders": 3},
    "detectable_content:postscript": {"postscript_marker": "P.S."},
    "detectable_format:number_bullet_lists": {"num_bullets": 3},
    "detectable_format:number_highlighted_sections": {"num_highlights": 3},
    "detectable_format:multiple_sections": {"section_spliter": "Section", "num_sections": 3},
    "combination:repeat_prompt": {"prompt_to_repeat": "Write a joke about a cat."},
    "startend:end_checker": {"end_phrase": "Peace!"},
    "change_case:capital_word_frequency": {"capital_frequency": 3, "capital_relation": "less than"},
}


def test_each_instruction_is_followed_by_some_responses_and_broken_by_others() -> None:
    assert set(MAKERS) == set(instructions.RULES)
    for name in MAKERS:
        given = GIVEN.get(name, {})
        responses = list(made([(name, given)], "A prompt.", POOL, random.Random(1)))
        verdicts = [instructions.follows(text, {"id": name, **given}) for text in responses]
        assert len(responses) >= 10 and {True, False} <= set(verdicts), name


def test_the_same_seed_makes_the_same_responses() -> None:
    given = [("startend:quotation", {}), ("detectable_format:title", {})]
    assert list(made(given, "p", POOL, random.Random(7))) == list(made(given, "p", POOL, random.Random(7)))


def test_a_difference_has_a_reason_only_where_that_is_the_reason() -> None:
    name = "detectable_format:number_bullet_lists"

    def reason(text: str) -> str | None:
        def accepts(response: str) -> bool:
            return sum(line.startswith(("-", "*")) for line in response.splitlines()) == 2

        ours = instructions.follows(text, {"id": name, "num_bullets": 2})
        return quirks.reason(name, quirks.Difference(text, {"num_bullets": 2}, accepts(text), ours, accepts))

    assert reason("* a\n* b\n---") == "a divider, --- or * * *"
    assert reason("* a\n*b") == "a dash or star without a blank after it"


def test_numeric_is_right_on_every_format_of_gsm8k(tmp_path: Path) -> None:
    items = [{"answer": "He has 3 + 4 = <<3+4=7>>7.\n#### 7"}, {"answer": "10 times as many.\n#### 1,250"}]
    for name in ("train.jsonl", "test.jsonl"):
        (tmp_path / name).write_text("\n".join(map(json.dumps, items)), encoding="utf-8")
    found = gsm8k.measure(tmp_path, seed=1)
    assert found["items"] == 4 and found["numeric_wrong"] == 0
    assert {(row["format"], row["right"]) for row in found["formats"]} >= {("only N", True), ("no number", False)}
    by_format = {(row["format"], row["right"]): row for row in found["formats"]}
    assert by_format["the solution, #### N", True]["openai"] == by_format["the solution, #### N", True]["n"]
