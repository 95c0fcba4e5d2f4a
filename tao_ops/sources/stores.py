"""File systems, local or object stores: reached and listed; each wait bounded, each failure one line."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from tao_ops.errors import DataError, SourceUnreachable, TaoError
from tao_ops.sources.store_access import filesystem_options, scheme_of

WAITS: dict[str, dict[str, Any]] = {
    "s3": {
        "config_kwargs": {
            "connect_timeout": 10,
            "read_timeout": 15,
            "retries": {"mode": "standard", "total_max_attempts": 3},
        }
    },
    "gs": {"requests_timeout": 60},
}
"""Seconds of silence after which a store is given up. The libraries' own limits come to half an hour for one read,
since each layer tries again; these to three minutes."""

S3_ROUNDS = 2
"""How often s3fs tries what botocore has given up; a read is two such calls, one in the other."""

_WILDCARD = re.compile(r"[*?[]")


def filesystem_of(pattern: str, connection: str | None = None) -> Any:
    """The file system of a pattern: a new one, which remembers no earlier listing and no earlier credentials.

    Args:
        connection: the Connection that signs in; None: the account of this process does.

    Raises:
        ConfigError: the Connection is not known, or holds what is not followed.
        DataError: its package is not installed.
    """
    from fsspec.core import url_to_fs

    scheme = scheme_of(pattern)
    options = {**WAITS.get(scheme, {}), **filesystem_options(pattern, connection)}
    try:
        filesystem, _ = url_to_fs(pattern, use_listings_cache=False, skip_instance_cache=True, **options)
    except ImportError as error:
        package = f"tao-flywheel[{scheme}]" if scheme in WAITS else f"what fsspec needs for {scheme}://"
        raise DataError(str(error), where=pattern, mend=f"install {package}") from None
    if scheme == "s3":
        filesystem.retries = S3_ROUNDS
    return filesystem


def matching(filesystem: Any, path: str) -> Iterator[dict[str, Any]]:
    """What the file system says of the files that a glob matches.

    fsspec's own glob passes over a folder that it may not or cannot list without a word.
    """
    from fsspec.utils import glob_translate

    parts = path.split("/")
    plain = next((number for number, part in enumerate(parts) if _WILDCARD.search(part)), len(parts) - 1)
    root = "/".join(parts[:plain]) or "/"
    if filesystem.async_impl:  # an object store: one listing, which the store itself narrows
        stem = _WILDCARD.split(parts[plain], maxsplit=1)[0]
        infos: Iterable[dict[str, Any]] = filesystem.find(root, prefix=stem, detail=True).values()
    else:
        infos = _walked(filesystem, root, parts)
    matches = re.compile(glob_translate(path)).match
    return (info for info in infos if info["type"] == "file" and matches(info["name"]))


def _walked(filesystem: Any, root: str, parts: list[str]) -> Iterator[dict[str, Any]]:
    """What is in a folder, and in those below it that may hold a match."""
    folders = [root]
    while folders:
        with suppress(FileNotFoundError, NotADirectoryError):  # there was none, or it went meanwhile
            for info in filesystem.ls(folders.pop(), detail=True):
                yield info
                if info["type"] == "directory" and _may_hold(info["name"], parts):
                    folders.append(info["name"])


def _may_hold(folder: str, parts: list[str]) -> bool:
    from fsspec.utils import glob_translate

    begin = parts[: folder.count("/") + 1]
    if "**" in begin:
        return True
    return len(begin) < len(parts) and re.match(glob_translate("/".join(begin)), folder) is not None


@contextmanager
def reaching(where: str) -> Iterator[None]:
    """Whatever a file system raises, as one line that says what to do: each store's library has kinds of its own.

    Raises:
        DataError: the place is missing, refuses, or is named wrongly.
        SourceUnreachable: it does not answer.
    """
    try:
        yield
    except TaoError:
        raise
    except (FileNotFoundError, NotADirectoryError):
        raise DataError("there is no such bucket or folder", where=where, mend="mend the source's pattern") from None
    except Exception as error:
        said = " ".join((str(error) or type(error).__name__).split())[:300]
        if _is_denial(error):
            mend = "give this process's account the right to list and read"
            raise DataError(f"access is denied: {said}", where=where, mend=mend) from error
        if isinstance(error, ValueError) or type(error).__name__ == "ParamValidationError":
            raise DataError(f"cannot be read: {said}", where=where, mend="mend the source's pattern") from error
        raise SourceUnreachable(
            f"cannot be read: {said}", where=where, mend="see that it is there and answers, and run it again"
        ) from error


def _is_denial(error: Exception) -> bool:
    """Whether it is about who asks: S3's library has a kind for that, Google's says it by its status."""
    return (
        isinstance(error, PermissionError)
        or "Credential" in type(error).__name__
        or str(error).startswith("Forbidden")
        or getattr(error, "code", None) in (401, 403)
    )
