"""Work that may never end, in a process of its own."""

import operator
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tao_ops.errors import EngineError
from tao_ops.rewards import limits
from tao_ops.rewards.limits import LimitError, limited


@pytest.fixture
def another() -> Iterator[None]:
    """The process is started anew, for the test and after it."""
    limits._stop_own()
    yield
    limits._stop_own()


def test_work_is_done_elsewhere() -> None:
    assert limited(os.getpid, seconds=1.0) != os.getpid()
    assert limited(divmod, 7, 2, seconds=1.0) == [3, 1]


@pytest.mark.parametrize(
    ("function", "arguments"),
    [(re.search, ("(a|a)*$", "a" * 60 + "!")), (pow, (3, 10**9))],
)
def test_work_without_end_is_stopped_and_the_next_goes_on(function: object, arguments: tuple[object, ...]) -> None:
    with pytest.raises(LimitError, match="time limit"):
        limited(function, *arguments, seconds=0.2)  # type: ignore[arg-type]
    assert limited(divmod, 7, 2, seconds=1.0) == [3, 1]


def test_memory_has_a_limit_too() -> None:
    with pytest.raises(LimitError, match="memory limit"):
        limited(bytes, 2**40, seconds=1.0)


def test_an_error_of_the_work_is_told() -> None:
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        limited(divmod, 7, 0, seconds=1.0)


def test_a_process_that_is_gone_is_started_again() -> None:
    with pytest.raises(LimitError, match="its process died"):
        limited(os._exit, 3, seconds=1.0)
    with pytest.raises(LimitError, match="its process died"):
        limited(signal.raise_signal, signal.SIGKILL, seconds=1.0)
    assert limited(divmod, 7, 2, seconds=1.0) == [3, 1]


def test_threads_take_turns() -> None:
    found: dict[int, object] = {}
    threads = [
        threading.Thread(target=lambda n=n: found.update({n: limited(divmod, n, 2, seconds=1.0)})) for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {n: list(divmod(n, 2)) for n in range(8)}


def test_a_forked_process_has_its_own() -> None:
    limited(divmod, 7, 2, seconds=1.0)
    child = os.fork()
    if not child:
        os._exit(0 if limited(divmod, 9, 2, seconds=1.0) == [4, 1] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert limited(divmod, 7, 2, seconds=1.0) == [3, 1]


def test_texts_pass_as_they_are() -> None:
    text = "half \ud83d a line\n\u2028 \x00 😀"
    assert limited(operator.concat, text, "b", seconds=1.0) == f"{text}b"
    assert limited(operator.concat, [None, True], [1.5, text], seconds=1.0) == [None, True, 1.5, text]


def test_a_result_that_cannot_be_told_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="TypeError"):
        limited(re.compile, "a", seconds=1.0)
    assert limited(divmod, 7, 2, seconds=1.0) == [3, 1]


@pytest.mark.usefixtures("another")
def test_a_file_of_the_current_folder_shadows_no_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("json", "pickle", "signal"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('shadowed')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert limited(divmod, 7, 2, seconds=1.0) == [3, 1]


@pytest.mark.usefixtures("another")
def test_it_sees_no_secret_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAO_PASSWORD", "secret")
    assert limited(os.getenv, "TAO_PASSWORD", seconds=1.0) is None


@pytest.mark.usefixtures("another")
def test_a_process_that_cannot_start_is_no_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tao_ops").mkdir()
    (tmp_path / "tao_ops" / "__init__.py").write_text("raise SystemExit('shadowed')")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    with pytest.raises(EngineError, match="did not start: shadowed") as caught:
        limited(divmod, 7, 2, seconds=1.0)
    assert len(str(caught.value).splitlines()) == 1


def test_a_module_that_is_missing_is_no_limit() -> None:
    with pytest.raises(EngineError, match="No module named 'not_there'"):
        limited(divmod, 7, 2, seconds=1.0, needs=("not_there",))
    assert limited(divmod, 7, 2, seconds=1.0) == [3, 1]
