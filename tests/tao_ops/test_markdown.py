"""Whatever a benchmark, a slice or a reason is called, a page stays the page that was written."""

import pytest

from tao_ops.markdown import bullets, escaped, table


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a | b", r"a \| b"),
        ("two\nlines\r\n# and no title", "two lines # and no title"),
        ("<script>alert(1)</script>", "&lt;script>alert(1)&lt;/script>"),
        ("![seen](http://elsewhere/x.png)", r"![seen]\(http://elsewhere/x.png)"),
        ("ends with \\", r"ends with \\"),
        ("a \\| b", r"a \\\| b"),
        ("+1.0 [-0.5, +2.5]", "+1.0 [-0.5, +2.5]"),
    ],
)
def test_a_text_is_shown_as_it_is(text: str, shown: str) -> None:
    assert escaped(text) == shown


def test_a_cell_ends_where_its_column_does() -> None:
    lines = table(("name", "n"), [("a|b", "1"), ("c\nd", "2")]).splitlines()
    assert lines == ["| name | n |", "| --- | --- |", r"| a\|b | 1 |", "| c d | 2 |"]
    assert bullets([]) == "" and bullets(["a\n- b"]) == "- a - b"
