"""Files that are either whole or not there."""

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tao_ops.errors import DataError, MissingInput


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` so that a reader, or a kill at any moment, finds the old content or the new one, whole."""
    # Not-a-number is no JSON: it must fail here and not in a reader.
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with replaced(path) as fresh:
        fresh.write_text(text, encoding="utf-8")


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Give a path to write to, and put that file in the place of ``path`` once the block has ended well."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        yield fresh
        with fresh.open("rb") as file:
            os.fsync(file.fileno())
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def read_json(path: Path, *, mend: str | None = None) -> dict[str, Any]:
    """The JSON object in ``path``; ``mend`` says what makes the file.

    Raises:
        MissingInput: there is no such file.
        DataError: it holds no JSON object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MissingInput(f"{path.name} is missing", where=path, mend=mend) from None
    except (ValueError, OSError) as error:
        raise DataError(f"not a JSON file: {error}", where=path, mend=mend) from None
    if not isinstance(value, dict):
        raise DataError("not a JSON object", where=path, mend=mend)
    return value
