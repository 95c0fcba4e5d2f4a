"""A wrong template ends in one line before anything is sampled; a query never is a template."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tao_ops.errors import ConfigError
from tao_ops.settings import PROJECT
from tao_ops.strategies import Strategy
from tao_ops.strategies.rendering import Fields, Template

Make = Callable[..., Strategy]

FIELDS = Fields(required=("prompt",), optional=("query",))
REPHRASE = Template(
    PROJECT / "include" / "prompts" / "strategies" / "rephrase.txt", Fields(required=("query",), optional=("prompt",))
)


def _template(tmp_path: Path, text: str) -> Template:
    (tmp_path / "t.txt").write_text(text, encoding="utf-8")
    return Template(tmp_path / "t.txt", FIELDS)


BRACES = st.sampled_from(["{{", "}}", "{%", "%}", "{#", "#}", " 7*7 ", "prompt", "{0.__class__}", "\r\n", "<b>", "&"])


@given(st.lists(BRACES | st.text(max_size=5), max_size=12).map("".join))
def test_a_query_stands_as_it_is_and_is_never_executed(query: str) -> None:
    rendered = REPHRASE.render({"prompt": "SECRET", "query": query})
    assert rendered == REPHRASE.render({"prompt": "", "query": "\0"}).replace("\0", query)


def test_blocks_leave_no_blank_lines(tmp_path: Path) -> None:
    template = _template(tmp_path, "{{ prompt }}\n{% if query %}\nOf: {{ query }}\n{% endif %}\nGo.\n\n")
    assert template.render({"prompt": "P {{ query }}", "query": "q"}) == "P {{ query }}\nOf: q\nGo."
    assert template.render({"prompt": "P", "query": ""}) == "P\nGo."


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"the template is empty \[.*t\.txt\] — write what to ask; its fields are \{\{ prompt \}\} \(needed\)"),
        (" \n{# later #}\n", r"the template is empty"),
        ("Go.", r"the template lacks \{\{ prompt \}\} \[.*t\.txt\] — .*\{\{ query \}\}"),
        ("{{ prompt }}\n{{ qury }}", r"there is no field 'qury' \[.*t\.txt:2\] — .*\{\{ query \}\}"),
        ("{{ prompt }}\n{{ range(9) }}", r"there is no field 'range'"),
        ("\n{{ prompt", r"not a template: .*t\.txt:2\] — mend it there; braces that are text"),
        ("{{ prompt }}\n{{ query | nope }}", r"not a template: No filter named 'nope'.*t\.txt:2\]"),
        ("{{ prompt }}\n\n{{ query.text }}", r"cannot be filled: .*'text'.*t\.txt:3\]"),
        ("{{ prompt }}\n{{ query.__class__ }}", r"cannot be filled: .*unsafe.*t\.txt:2\]"),
        ("{{ prompt }}\n{% include 'prompt.txt' %}", r"cannot be filled: .*t\.txt:2\]"),
    ],
)
def test_a_wrong_template_is_named_with_its_line_and_the_fields_there_are(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        _template(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_a_template_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_bytes(b"\xff{{ prompt }}")
    with pytest.raises(ConfigError, match=r"the template cannot be read: .*t\.txt\] — save it as UTF-8"):
        Template(tmp_path / "t.txt", FIELDS)


def test_a_template_must_ask_for_the_words_that_the_answer_follows(make: Make, include: Path) -> None:
    def version(text: str, **keys: str) -> str:
        (include / "mine.txt").write_text(text, encoding="utf-8")
        return make("plan", templates={"ask": "mine.txt"}, **keys).version

    with pytest.raises(ConfigError, match=r"asks for no 'Answer:' \[.*mine\.txt\] — write that \{\{ marker \}\}"):
        version("{{ prompt }} Plan it.")
    assert version("{{ prompt }} End with {{ marker }}") and version("{{ prompt }} End with Answer:")
    assert version("{{ prompt }} Plan it.", answer_after="</plan>"), "a model's own words need not be asked for"
