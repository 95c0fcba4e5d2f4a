"""Pages of a list, and what a reader may ask for."""

from collections.abc import Sequence
from typing import TypeVar

from tao_ops.errors import ConfigError
from tao_ops.views.records import MOST_A_PAGE, Page

Item = TypeVar("Item")


def check(page: int, size: int) -> None:
    """See that there can be such a page.

    Raises:
        ConfigError: there cannot.
    """
    if page < 1:
        raise ConfigError(f"there is no page {page}", where="page", mend="the first one is 1")
    if not 1 <= size <= MOST_A_PAGE:
        raise ConfigError(f"{size} entries a page", where="size", mend=f"ask for 1 to {MOST_A_PAGE}")


def cut(entries: Sequence[Item], page: int, size: int) -> Sequence[Item]:
    """The entries of one page; none behind the last one.

    >>> cut("abcde", 2, 2), cut("abcde", 3, 2), cut("abcde", 4, 2)
    ('cd', 'e', '')
    """
    return entries[(page - 1) * size : page * size]


def paged(entries: Sequence[Item], page: int, size: int) -> Page[Item]:
    """One page of entries that are all there."""
    return Page(tuple(cut(entries, page, size)), page, size, len(entries))
