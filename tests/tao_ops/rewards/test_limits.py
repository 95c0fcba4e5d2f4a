"""Work that may never end, in a process of its own."""

import os
import re
import threading

import pytest

from tao_ops.rewards.limits import LimitError, limited


def test_work_is_done_elsewhere() -> None:
    assert limited(os.getpid, seconds=1.0) != os.getpid()
    assert limited(divmod, 7, 2, seconds=1.0) == (3, 1)


@pytest.mark.parametrize(
    ("function", "arguments"),
    [(re.search, ("(a|a)*$", "a" * 60 + "!")), (pow, (3, 10**9))],
)
def test_work_without_end_is_stopped_and_the_next_goes_on(function: object, arguments: tuple[object, ...]) -> None:
    with pytest.raises(LimitError, match="time limit"):
        limited(function, *arguments, seconds=0.2)  # type: ignore[arg-type]
    assert limited(divmod, 7, 2, seconds=1.0) == (3, 1)


def test_memory_has_a_limit_too() -> None:
    with pytest.raises(LimitError, match="memory limit"):
        limited(bytes, 2**40, seconds=1.0)


def test_an_error_of_the_work_is_told() -> None:
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        limited(divmod, 7, 0, seconds=1.0)


def test_a_process_that_is_gone_is_started_again() -> None:
    with pytest.raises(LimitError):
        limited(os._exit, 3, seconds=1.0)
    assert limited(divmod, 7, 2, seconds=1.0) == (3, 1)


def test_threads_take_turns() -> None:
    found: dict[int, tuple[int, int]] = {}
    threads = [
        threading.Thread(target=lambda n=n: found.update({n: limited(divmod, n, 2, seconds=1.0)})) for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {n: divmod(n, 2) for n in range(8)}


def test_a_forked_process_has_its_own() -> None:
    limited(divmod, 7, 2, seconds=1.0)
    child = os.fork()
    if not child:
        os._exit(0 if limited(divmod, 9, 2, seconds=1.0) == (4, 1) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert limited(divmod, 7, 2, seconds=1.0) == (3, 1)
