"""What commands share on a terminal: a line at once, and who gives the command."""

import getpass
import os
import sys


def say(line: str) -> None:
    """One line of the log, at once."""
    print(line, flush=True)


def aside(line: str) -> None:
    """The same beside a result that goes to the standard output, as JSON."""
    print(line, file=sys.stderr, flush=True)


def who(by: str | None) -> str:
    """``by`` where it is given, else the system's user."""
    if by is not None:
        return by
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have a number only
        return f"uid {os.getuid()}"
