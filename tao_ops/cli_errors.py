"""How the commands of ``tao`` end on an error: one line, and a status that says whether a retry can help."""

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from tao_ops.errors import TaoError

EXIT_ERROR = 1
EXIT_RETRY = 75
"""EX_TEMPFAIL of sysexits.h: the same command may succeed later."""

_OF_THE_MACHINE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)
"""Errors of the operating system that say all: a full or read-only disk, a missing permission."""


@contextmanager
def readable_errors(retry: int = EXIT_ERROR) -> Iterator[None]:
    """An error that was raised on purpose ends as one line on standard error; ``retry`` is the exit of those that
    may be gone the next time."""
    try:
        yield
    except TaoError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        raise typer.Exit(retry if error.retryable else EXIT_ERROR) from None
    except ModuleNotFoundError as error:
        if (error.name or "tao_ops").startswith("tao_ops"):
            raise
        mend = "install tao-flywheel[stages] there, or name an environment that has it by TAO_PYTHON"
        print(f"error: {error.name} is not installed [{sys.executable}] — {mend}", file=sys.stderr, flush=True)
        raise typer.Exit(EXIT_ERROR) from None
    except OSError as error:
        if error.errno not in _OF_THE_MACHINE:
            raise
        print(f"error: {error.strerror} [{error.filename}] — mend it and run this again", file=sys.stderr, flush=True)
        raise typer.Exit(retry) from None
