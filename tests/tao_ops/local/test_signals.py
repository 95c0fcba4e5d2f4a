"""Which blocks a signal interrupts."""

import os
import signal

import pytest

from tao_ops.local.signals import ended_by_signals, uninterrupted


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_program_and_finally_blocks_run(number: signal.Signals) -> None:
    ran = []
    with pytest.raises(SystemExit) as caught, ended_by_signals():
        try:
            os.kill(os.getpid(), number)
        finally:
            ran.append(True)
    assert caught.value.code == 128 + number and ran


def test_an_uninterrupted_block_is_done_before_the_signal_takes_effect() -> None:
    done = []
    with pytest.raises(SystemExit) as caught, ended_by_signals():
        with uninterrupted():
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGINT)
            done.append(True)
        done.append(False)
    assert caught.value.code == 128 + signal.SIGTERM
    assert done == [True]


def test_a_second_signal_does_not_cut_the_clearing_up_short() -> None:
    done = []
    with pytest.raises(SystemExit) as caught, ended_by_signals():
        try:
            os.kill(os.getpid(), signal.SIGINT)
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            done.append(True)
    assert caught.value.code == 128 + signal.SIGINT and done == [True]
