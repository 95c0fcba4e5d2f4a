"""What all parts of a flywheel's YAML share."""

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

Share = Annotated[float, Field(ge=0.0, le=1.0)]

_DURATION = re.compile(r"(\d+)\s*([dhms])")
_UNITS = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}


class Strict(BaseModel):
    """A part of the YAML: an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


def _duration(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{value!r} is not a duration: write 2d, 12h, 30m or 15s")
    try:
        return timedelta(**{_UNITS[match[2]]: int(match[1])})
    except OverflowError:
        raise ValueError(f"{value!r} is too long") from None


def _written(value: timedelta) -> str:
    seconds = value // timedelta(seconds=1)
    for unit, length in (("d", 24 * 3600), ("h", 3600), ("m", 60)):
        if seconds % length == 0:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


Duration = Annotated[timedelta, BeforeValidator(_duration), PlainSerializer(_written, str, when_used="json")]
"""A length of time in YAML: ``2d``, ``12h``, ``30m``, ``15s``."""
