"""Deferral of interrupts while the state of workers changes."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

SIGNALS = ("SIGINT", "SIGTERM", "SIGUSR1")
"""Signals whose handlers may raise KeyboardInterrupt."""


@contextmanager
def interrupts_deferred() -> Iterator[None]:
    """Defer the handlers of ``SIGNALS`` to the end of the block.

    An exception between the start of a worker and its entry in a list would leave it running. A blocked signal is not
    enough: another thread of this process may receive it, and Python calls the handler in the main thread. In other
    threads, where no handler runs, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    process, received = os.getpid(), list[int]()
    handlers: dict[int, Any] = {}

    def note(number: int, frame: Any) -> None:
        if os.getpid() == process:
            received.append(number)
        else:  # a forked worker has inherited this function
            signal.signal(number, handlers[number])
            signal.raise_signal(number)

    try:
        for name in SIGNALS:
            number = getattr(signal, name, None)
            if number is not None and callable(signal.getsignal(number)):
                handlers[number] = signal.getsignal(number)
                signal.signal(number, note)
        yield
    finally:
        for number, handler in reversed(handlers.items()):
            signal.signal(number, handler)
        for number in received:
            signal.raise_signal(number)
