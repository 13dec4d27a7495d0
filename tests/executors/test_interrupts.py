"""Deferral of the handlers of signals."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from nas.executors.interrupts import interrupts_deferred


def test_handler_runs_at_the_end_of_the_outer_block() -> None:
    done = []
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), interrupts_deferred():
        with interrupts_deferred():
            os.kill(os.getpid(), signal.SIGINT)
            done.append("inner")
        done.append("outer")
    assert done == ["inner", "outer"] and signal.getsignal(signal.SIGINT) is before


def test_signal_for_another_thread_is_deferred_too() -> None:
    """A blocked SIGINT would be delivered to the other thread, and its handler be called here."""
    release = threading.Event()
    other = threading.Thread(target=release.wait)
    other.start()
    done = False
    with pytest.raises(KeyboardInterrupt), interrupts_deferred():
        signal.pthread_kill(other.ident or 0, signal.SIGINT)
        release.set()
        other.join()
        done = True
    assert done


def test_other_threads_and_default_handlers_are_left_alone() -> None:
    found: list[object] = []
    before = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with interrupts_deferred():
            found.append(signal.getsignal(signal.SIGTERM))
    finally:
        signal.signal(signal.SIGTERM, before)

    def enter() -> None:
        with interrupts_deferred():
            found.append("entered")

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert found == [signal.SIG_DFL, "entered"]


def test_forked_process_has_the_handler_of_before() -> None:
    """It could not be ended otherwise."""
    before = signal.signal(signal.SIGTERM, lambda number, frame: os._exit(7))
    try:
        with interrupts_deferred():
            child = os.fork()
            if child == 0:
                os.kill(os.getpid(), signal.SIGTERM)
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    finally:
        signal.signal(signal.SIGTERM, before)
