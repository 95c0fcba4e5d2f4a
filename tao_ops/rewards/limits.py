"""Work on a response that may never end, such as a hostile pattern: in a process of its own, with limits that hold.

One such process per process that asks, started when it is first needed and kept. It counts processor time, so that a
busy machine changes no verdict. Over its time, work is interrupted; where a C library won't be, the kernel ends the
process, and the next call starts another. It is isolated: no file of the current folder, and none of this process's
secrets, is in its reach, and what it says is read as JSON.
"""

import atexit
import importlib
import json
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from tao_ops.errors import EngineError

T = TypeVar("T")
_MEMORY = 4 * 1024**3
"""Bytes of addresses that the process may take."""
_DEPTH = 5000
"""Calls within calls: Python's own limit is too low for a nested value and a schema that refers to itself."""
_READY = "ready"
_CODE = """
import sys
sys.path[:] = {path!r}
from tao_ops.rewards.limits import serve
serve()
"""
_lock = threading.Lock()
_workers: dict[int, "subprocess.Popen[bytes]"] = {}


class LimitError(Exception):
    """The work took more than it may; the text is the reason of a score that is not decided."""


class _TimeUp(BaseException):
    """No ``except Exception`` of a library keeps it from ending the work."""


def limited(function: Callable[..., T], *arguments: Any, seconds: float, needs: Sequence[str] = ()) -> T:
    """What ``function(*arguments)`` gives.

    Args:
        function: of a module's top level. A tuple that it gives arrives as a list.
        arguments: of the function, by position; they and its result are what JSON holds.
        seconds: of processor time, after which it is stopped.
        needs: modules that it imports; importing them doesn't count.

    Raises:
        LimitError: it took too much time or memory, or recurred too deep, or its process died of it.
        EngineError: the process cannot be started, or lacks a module.
    """
    question = json.dumps([function.__module__, function.__qualname__, arguments, seconds, list(needs)])
    with _lock:
        worker = _worker()
        assert worker.stdin is not None and worker.stdout is not None
        try:
            with suppress(BrokenPipeError):  # it has died: the reply says so
                worker.stdin.write(question.encode() + b"\n")
                worker.stdin.flush()
            reply = worker.stdout.readline()
            if not reply.endswith(b"\n"):
                raise LimitError("time limit" if worker.wait() == -signal.SIGPROF else "its process died")
            kind, result = json.loads(reply)
        except BaseException:  # interrupted half-way: what the process says next would answer another question
            _stop(_workers.pop(os.getpid()))
            raise
    if kind == "limit":
        raise LimitError(result)
    if kind == "broken":
        raise EngineError(f"a process for work with limits is broken: {result}", where=sys.executable)
    if kind == "error":
        raise RuntimeError(result)
    value: T = result
    return value


def serve() -> None:
    """Answer what comes on standard input until it ends."""
    asked, told = sys.stdin.buffer, os.fdopen(os.dup(1), "w", encoding="ascii")
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)  # a library that prints doesn't disturb the answers
    os.dup2(nothing, 2)
    sys.setrecursionlimit(_DEPTH)
    with suppress(ValueError, OSError):  # macOS has no such limit
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the one who asks
    signal.signal(signal.SIGVTALRM, _time_up)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    print(_READY, file=told, flush=True)
    for line in asked:
        print(_answer(*json.loads(line)), file=told, flush=True)


def _answer(module: str, name: str, arguments: Sequence[Any], seconds: float, needs: Sequence[str]) -> str:
    """What became of a question, as JSON: its kind and what there is to say of it."""
    try:
        for needed in needs:
            importlib.import_module(needed)
        function = getattr(importlib.import_module(module), name)
    except Exception as error:
        return json.dumps(["broken", f"{type(error).__name__}: {error}"])
    try:
        return json.dumps(_done(function, arguments, seconds))
    except TypeError as error:
        return json.dumps(["error", f"TypeError: {error}"])


def _done(function: Callable[..., Any], arguments: Sequence[Any], seconds: float) -> tuple[str, Any]:
    try:
        try:
            signal.setitimer(signal.ITIMER_PROF, 2 * seconds + 1)
            signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
            return "value", function(*arguments)
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            signal.setitimer(signal.ITIMER_PROF, 0)
    except _TimeUp:
        return "limit", "time limit"
    except MemoryError:
        return "limit", "memory limit"
    except RecursionError:
        return "limit", "nested too deep"
    except Exception as error:
        return "error", f"{type(error).__name__}: {error}"


def _time_up(number: int, frame: object) -> None:
    raise _TimeUp


def _after_fork() -> None:
    """Another thread's lock would never be freed in the child."""
    global _lock  # noqa: PLW0603
    _lock = threading.Lock()


def _worker() -> "subprocess.Popen[bytes]":
    """This process's own; one that was forked from another starts its own, too."""
    worker = _workers.get(os.getpid())
    if worker is None or worker.poll() is not None:
        worker = _workers[os.getpid()] = _started()
    return worker


def _started() -> "subprocess.Popen[bytes]":
    keep = {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "PATH", "SYSTEMROOT") if name in os.environ}
    worker = subprocess.Popen(
        [sys.executable, "-I", "-c", _CODE.format(path=[os.path.abspath(path) for path in sys.path])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,  # until it is ready: then both are silent
        env=keep,
        cwd="/",
    )
    assert worker.stdout is not None
    said = "nothing"
    try:
        for line in worker.stdout:
            if (told := line.decode(errors="replace").strip()) == _READY:
                return worker
            said = told or said
    except BaseException:
        _stop(worker)
        raise
    _stop(worker)
    raise EngineError(f"a process for work with limits did not start: {said}", where=sys.executable)


def _stop(worker: "subprocess.Popen[bytes]") -> None:
    worker.kill()
    worker.wait()
    for pipe in (worker.stdin, worker.stdout):
        if pipe is not None:
            with suppress(OSError):  # what was not yet written has no reader any more
                pipe.close()


def _stop_own() -> None:
    if worker := _workers.pop(os.getpid(), None):
        _stop(worker)


atexit.register(_stop_own)
os.register_at_fork(after_in_child=_after_fork)
