"""Run one command in its own session: its output line by line, its end bounded, nothing of it left behind."""

import codecs
import ctypes
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

POLL_SECONDS = 0.2
BAR_SECONDS = 10.0
"""A bar that draws itself anew, by a carriage return, is told so often, and once it is done."""
DRAIN_SECONDS = 5.0
"""How long the last words are read of what a process leaves behind: its children may talk without an end."""
LONGEST = 65_536
"""Characters of a line that are kept: one without an end must not fill the memory."""
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")
"""Colours, moves of the cursor, titles of windows: ECMA-48's control sequences."""
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1d\x7f]")
"""What says nothing in a log; not U+001E, by which a stage marks its own words."""
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Outcome:
    """How a process ended.

    Attributes:
        code: exit status; the negative signal number where a signal ended it.
        tail: its last lines of output.
        timed_out: it ran into its limit and was ended.
        stopped: :meth:`Process.stop` ended it.
    """

    code: int
    tail: tuple[str, ...]
    timed_out: bool = False
    stopped: bool = False

    @property
    def signal_name(self) -> str | None:
        """``SIGKILL`` and the like, where a signal ended the process."""
        return signal.Signals(-self.code).name if self.code < 0 else None

    def last(self, prefix: str) -> str | None:
        """The last line of output that starts with ``prefix``."""
        return next((line for line in reversed(self.tail) if line.startswith(prefix)), None)


class Process:
    """A command that leads its own session and process group, standard error merged into standard output.

    On Linux the kernel also kills the command when the thread that started it dies, however it dies.

    Args:
        with_parent: while it is followed, it is also ended when the parent of this process dies, as a task's does
            when its worker is killed: nobody would hear how it ends, and its retry would find its turn held.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        with_parent: bool = False,
    ) -> None:
        self._popen = subprocess.Popen(
            list(command),
            env=None if env is None else dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_die_with(os.getpid()),  # noqa: PLW1509 - it calls one C function and no lock
        )
        self.stopped = False
        self._parent = os.getppid() if with_parent else None

    @property
    def pid(self) -> int:
        """Process id, which is also the id of its group."""
        return self._popen.pid

    def follow(self, say: Callable[[str], None], *, limit_s: float | None = None, grace_s: float = 10.0) -> Outcome:
        """Hand every line of output to ``say`` as it comes, until the process has ended.

        After ``limit_s`` seconds, or when anything is raised here, its whole group is ended.
        """
        tail: deque[str] = deque(maxlen=50)
        deadline = None if limit_s is None else time.monotonic() + limit_s
        timed_out = False
        try:
            for line in self._lines(deadline):
                tail.append(line)
                say(line)
            timed_out = not self._ended()
        finally:
            self._end_group(grace_s)
            code = self._popen.wait()
            assert self._popen.stdout is not None
            self._popen.stdout.close()
        return Outcome(code, tuple(tail), timed_out=timed_out, stopped=self.stopped)

    def stop(self, grace_s: float = 3.0) -> None:
        """End the whole group: TERM, and KILL after ``grace_s``. May be called in a signal handler."""
        self.stopped = True
        self._end_group(grace_s)

    def _lines(self, deadline: float | None) -> "_Lines":
        assert self._popen.stdout is not None
        return _Lines(self._popen.stdout.fileno(), self._over, deadline)

    def _over(self) -> bool:
        """Whether the leader has ended; it is ended here where nobody is left to hear of it."""
        if self._parent not in (None, os.getppid()) and not self.stopped:
            self.stop()
        return self._ended()

    def _ended(self) -> bool:
        """Whether the leader has ended, leaving it to be waited for: its group id stays ours till then."""
        if self._popen.returncode is not None:
            return True
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def _end_group(self, grace_s: float) -> None:
        if self._popen.returncode is not None:
            return
        if not self._ended():
            self._signal_group(signal.SIGTERM)
            deadline = time.monotonic() + grace_s
            while not self._ended() and time.monotonic() < deadline:
                time.sleep(0.02)
        self._signal_group(signal.SIGKILL)

    def _signal_group(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


class _Lines:
    """Lines of a pipe until its process has ended or the deadline is over, as a terminal would show them in the end.

    Of a line that is drawn over by carriage returns the last state is told, and one every :data:`BAR_SECONDS`.
    """

    def __init__(self, descriptor: int, ended: Callable[[], bool], deadline: float | None) -> None:
        self._descriptor, self._ended, self._deadline = descriptor, ended, deadline
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._rest, self._cut = "", 0
        self._drawn, self._told_at = "", time.monotonic()

    def __iter__(self) -> Iterator[str]:
        drained = None
        while True:
            over = self._ended()  # asked before reading: what it wrote last is then in the pipe
            readable, _, _ = select.select([self._descriptor], [], [], 0 if over else POLL_SECONDS)
            chunk = os.read(self._descriptor, 65536) if readable else b""
            yield from self._split(self._decoder.decode(chunk))
            closed = bool(readable) and not chunk
            now = time.monotonic()
            late = self._deadline is not None and now > self._deadline
            drained = now + DRAIN_SECONDS if over and drained is None else drained
            if (over and not chunk) or late or (drained is not None and now > drained):
                break
            if closed:
                time.sleep(POLL_SECONDS)
        yield from self._line()

    def _split(self, text: str) -> Iterator[str]:
        *whole, rest = text.split("\n")
        for part in whole:
            self._draw(part)
            yield from self._line()
        self._draw(rest)
        if self._drawn and time.monotonic() - self._told_at >= BAR_SECONDS:
            self._told_at = time.monotonic()
            yield self._drawn
            self._drawn = ""

    def _draw(self, text: str) -> None:
        """Add to the line; what comes before a carriage return will be drawn over."""
        for part in text.split("\r")[:-1]:
            self._add(part)
            self._drawn = self._taken() or self._drawn
        self._add(text.rsplit("\r", 1)[-1])

    def _add(self, text: str) -> None:
        room = LONGEST - len(self._rest)
        self._rest += text[:room]
        self._cut += max(0, len(text) - room)

    def _line(self) -> Iterator[str]:
        """The line that has ended; none where it is blank, or told already."""
        line, self._drawn = self._taken() or self._drawn, ""
        if line:
            yield line

    def _taken(self) -> str:
        line, cut = plain(self._rest), self._cut
        self._rest, self._cut = "", 0
        return f"{line} … ({cut:,} characters more)" if cut else line


def plain(text: str) -> str:
    """A line without colours, control characters and blanks at its end.

    >>> plain("\\x1b[31merror:\\x1b[0m no such key\\x07 ")
    'error: no such key'
    """
    return _CONTROL.sub("", _ESCAPES.sub("", text)).rstrip()


def _die_with(parent: int) -> Callable[[], None] | None:
    if _LIBC is None:
        return None
    libc = _LIBC

    def ask() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died in between
            os._exit(1)

    return ask
