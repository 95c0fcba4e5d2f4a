"""Markdown with texts of anybody's in it: each stays on its line and in its cell, and is not taken for markup."""

from collections.abc import Iterable, Sequence


def escaped(text: str) -> str:
    r"""One line that neither ends its cell nor opens a tag, a link or an image.

    >>> print(escaped("a|b\n<b>  [c](d)"))
    a\|b &lt;b> [c]\(d)
    """
    line = " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|")
    return line.replace("<", "&lt;").replace("](", "]\\(")


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are escaped here.

    >>> print(table(("slice", "n"), [("a|b", "3")]))
    | slice | n |
    | --- | --- |
    | a\\|b | 3 |
    """
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(escaped(cell) for cell in line)} |" for line in lines)


def bullets(lines: Iterable[str]) -> str:
    """A list of texts that are escaped here.

    >>> print(bullets(["a < b", "c"]))
    - a &lt; b
    - c
    """
    return "\n".join(f"- {escaped(line)}" for line in lines)
