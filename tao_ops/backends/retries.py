"""How long to wait before a server is asked again."""

import random
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

FIRST_WAIT = 0.5
"""Seconds; the most that the first wait takes, and each further one twice as much."""
LONGEST_WAIT = 60.0
"""Seconds, whatever a server asks for."""


def wait_seconds(attempt: int, retry_after: str | None = None) -> float:
    """Seconds to wait after attempt number ``attempt`` (from 1) failed, at most twice ``LONGEST_WAIT``.

    Exponential backoff with full jitter (Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog 2015); what
    the server asks for comes before it, so that those who were told the same time don't all come back at once.
    """
    backoff = random.uniform(0.0, min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** (attempt - 1)))
    return min(LONGEST_WAIT, asked_seconds(retry_after)) + backoff


def asked_seconds(retry_after: str | None) -> float:
    """What a ``Retry-After`` header asks for, in seconds or as an HTTP date (RFC 9110, 10.2.3); else 0."""
    text = (retry_after or "").strip()
    try:
        seconds = float(text)
    except ValueError:
        try:
            until = parsedate_to_datetime(text)
        except (ValueError, OverflowError):
            return 0.0
        seconds = (until.replace(tzinfo=until.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return seconds if seconds > 0.0 else 0.0  # not a number is not more than 0 either
