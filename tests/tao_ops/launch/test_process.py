"""A process's output, its end and its group."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tao_ops.launch.process import Outcome, Process

PARENT_OF_A_SLEEPER = """
import subprocess, sys
code = "import signal, time; {prepare}; print('up', flush=True); time.sleep(600)"
child = subprocess.Popen([sys.executable, "-c", code])
print("grandchild", child.pid, flush=True)
{then}
"""


def python(code: str) -> Process:
    return Process([sys.executable, "-u", "-c", code])


def wait_until(condition: Callable[[], bool], limit_s: float = 20.0) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.02)


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def grandchild_of(lines: list[str]) -> int:
    return int(next(line.split()[1] for line in lines if line.startswith("grandchild")))


def test_lines_come_as_they_are_written_and_not_at_the_end() -> None:
    process = python("import time, sys; print('first'); sys.stderr.write('to stderr\\n'); time.sleep(600)")
    lines: list[str] = []

    def say(line: str) -> None:
        lines.append(line)
        if line == "to stderr":
            process.stop()

    outcome = process.follow(say, limit_s=30)
    assert lines == ["first", "to stderr"]
    assert outcome.stopped and not outcome.timed_out and outcome.code == -signal.SIGTERM


def test_exit_status_last_words_and_undecodable_bytes_are_kept() -> None:
    outcome = python(
        "import sys; sys.stdout.buffer.write(b'10%\\r20%\\rerror: \\xff broken\\nno end of line'); sys.exit(75)"
    ).follow(print)
    assert outcome.code == 75 and outcome.signal_name is None
    assert outcome.tail == ("10%", "20%", "error: � broken", "no end of line")
    assert outcome.last("error:") == "error: � broken"


def test_a_kill_is_named() -> None:
    process = python("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert process.follow(print) == Outcome(-9, ())
    assert Outcome(-9, ()).signal_name == "SIGKILL"


def test_the_limit_ends_the_group_even_where_it_ignores_term() -> None:
    ignore = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    code = PARENT_OF_A_SLEEPER.format(prepare=ignore, then=f"import signal; {ignore}; child.wait()")
    lines: list[str] = []
    started = time.monotonic()
    outcome = python(code).follow(lines.append, limit_s=1.5, grace_s=0.3)
    assert outcome.timed_out and outcome.signal_name == "SIGKILL"
    assert time.monotonic() - started < 15
    wait_until(lambda: gone(grandchild_of(lines)))


def test_a_grandchild_that_outlives_its_parent_neither_blocks_nor_stays() -> None:
    lines: list[str] = []
    outcome = python(PARENT_OF_A_SLEEPER.format(prepare="pass", then="child")).follow(lines.append, limit_s=60)
    assert outcome.code == 0 and not outcome.timed_out
    wait_until(lambda: gone(grandchild_of(lines)))


def test_an_error_while_following_ends_the_group() -> None:
    lines: list[str] = []

    def say(line: str) -> None:
        lines.append(line)
        if line.startswith("grandchild"):
            raise RuntimeError("the log is full")

    process = python(PARENT_OF_A_SLEEPER.format(prepare="pass", then="child.wait()"))
    with pytest.raises(RuntimeError, match="the log is full"):
        process.follow(say, limit_s=60)
    wait_until(lambda: gone(process.pid) and gone(grandchild_of(lines)))


def test_stop_from_another_thread_ends_it_and_twice_is_harmless() -> None:
    process = python("import time; time.sleep(600)")
    threading.Timer(0.1, process.stop).start()
    assert process.follow(print, limit_s=60).stopped
    process.stop()


def test_it_dies_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys; from tao_ops.launch.process import Process\n"
        "p = Process([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(p.pid, flush=True); p.follow(print)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=os.environ)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert not gone(child)
    parent.kill()
    parent.communicate()
    wait_until(lambda: gone(child))
