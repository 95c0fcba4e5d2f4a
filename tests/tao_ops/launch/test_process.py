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

from tao_ops.launch import process as process_module
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
    assert outcome.tail == ("error: � broken", "no end of line")
    assert outcome.last("error:") == "error: � broken"


def said(written: bytes, times: int = 1) -> list[str]:
    """What is told of a process that writes this."""
    lines: list[str] = []
    python(f"import sys; sys.stdout.buffer.write({written!r} * {times})").follow(lines.append, limit_s=60)
    return lines


def test_of_a_bar_that_draws_itself_anew_the_end_is_told() -> None:
    bar = b"".join(b"\r%3d%%|####      | %d/100" % (done, done) for done in range(101))
    assert said(bar + b"\nnext\r\n") == ["100%|####      | 100/100", "next"]
    assert said(bar + b"\r" + 20 * b" " + b"\r") == ["100%|####      | 100/100"], "one that wipes itself away"
    assert said(b"50%\r") == ["50%"]


def test_a_bar_that_takes_long_is_told_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_module, "BAR_SECONDS", 0.0)
    process = python(
        "import sys\n"
        "for done in (b'10%\\r', b'20%\\r', b'30%\\n'):\n"
        "    sys.stdout.buffer.write(done); sys.stdout.buffer.flush(); sys.stdin.readline()"
    )
    lines: list[str] = []

    assert process.follow(lines.append, limit_s=60).code == 0
    assert lines[-1] == "30%" and set(lines) <= {"10%", "20%", "30%"}


def test_colours_and_control_characters_are_left_out() -> None:
    written = b"\x1b[1;31merror: red\x1b[0m\n\x1b]0;title\x07\x1b[2Kplain\x00\x08 text\ttab\n\x1b[32m\x1b[0m\n"
    assert said(written) == ["error: red", "plain text\ttab"]


def test_a_line_without_an_end_is_cut_and_costs_no_memory() -> None:
    (line,) = said(b"x", 1_000_000)
    assert line.startswith("xxx") and line.endswith("… (934,464 characters more)") and len(line) < 70_000
    assert said(b"y" * 70_000 + b"\nshort\n")[1] == "short"


def test_characters_that_are_written_in_pieces_are_whole() -> None:
    assert said("añ€😀\n".encode(), 30_000) == ["añ€😀"] * 30_000


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


def test_a_grandchild_that_goes_on_talking_ends_with_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_module, "DRAIN_SECONDS", 0.5)
    talks = "[print('x' * 1000) for _ in iter(int, 1)]"
    lines: list[str] = []

    process = python(PARENT_OF_A_SLEEPER.format(prepare=talks, then="import time; time.sleep(1)"))
    started = time.monotonic()

    def say(line: str) -> None:
        lines.append(line)
        time.sleep(0.001)  # a log takes its time, and the pipe is never empty
        assert time.monotonic() - started < 20, "followed for ever"

    outcome = process.follow(say)
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


@pytest.mark.parametrize("with_parent", [True, False])
def test_a_followed_one_ends_with_the_worker_of_its_task_where_it_is_asked_to(with_parent: bool) -> None:
    task = (
        "import sys; from tao_ops.launch.process import Process\n"
        f"p = Process([sys.executable, '-c', 'import time; time.sleep(600)'], with_parent={with_parent})\n"
        "print(p.pid, flush=True); p.follow(print)"
    )
    worker = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {task!r}])"
    killed = subprocess.Popen([sys.executable, "-c", worker], stdout=subprocess.PIPE, text=True, env=os.environ)
    assert killed.stdout is not None
    stage = psutil.Process(int(killed.stdout.readline()))
    its_task = stage.parent()
    assert its_task is not None
    killed.kill()
    killed.wait()
    try:
        if with_parent:
            wait_until(lambda: gone(stage.pid))
        else:
            time.sleep(5 * process_module.POLL_SECONDS)
            assert not gone(stage.pid)
    finally:
        its_task.kill()
        killed.stdout.close()
