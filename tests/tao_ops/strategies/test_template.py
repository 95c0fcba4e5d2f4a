"""``template``: a file of one's own is a strategy, without code."""

from collections.abc import Callable
from pathlib import Path

from tao_ops.records import Prompt
from tao_ops.strategies import Strategy

Make = Callable[..., Strategy]


def test_a_file_stands_in_the_place_of_the_production_prompt(make: Make, include: Path, query: Prompt) -> None:
    (include / "mine.txt").write_text("Take your time.\n{{ prompt }}\n", encoding="utf-8")
    strategy = make("patient", templates={"ask": "mine.txt"})
    assert strategy.conversation(query, 0, ()) == [
        {"role": "system", "content": "Take your time.\nRead it."},
        *query.messages,
    ]
    assert strategy.name == "patient" and strategy.answer(" a\n") == "a"


def test_its_version_is_its_texts(make: Make, include: Path) -> None:
    def version(text: str, **keys: str) -> str:
        (include / "mine.txt").write_text(text, encoding="utf-8")
        return make("patient", templates={"ask": "mine.txt"}, **keys).version

    assert version("Go.") == version("Go.\n")
    assert len({version("Go."), version("Come."), version("Go.", answer_after="So:")}) == 3


def test_a_task_in_words_of_its_own_and_an_answer_after_words_of_its_own(
    make: Make, include: Path, query: Prompt
) -> None:
    (include / "mine.txt").write_text("Who wrote this? End with {{ marker }}", encoding="utf-8")
    strategy = make("who", templates={"ask": "mine.txt"}, answer_after="So:")
    assert strategy.conversation(query, 0, ())[0]["content"] == "Who wrote this? End with So:"
    assert strategy.answer("Hm. So: Anna") == "Anna"
