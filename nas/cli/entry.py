"""Entry point of the programs: interrupts outside of a run end the process without a traceback."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from nas.cli.streams import protect_streams

INTERRUPTED = 130
PROGRAMS = ("search", "train", "nas-search", "nas-train")
"""Names of the scripts of a checkout and of an installation."""

LINE = "error: interrupted before the run started\n"


def run_program(name: str) -> None:
    """Import the module of a program and call its ``main``.

    An interrupt during the imports prints one line. It raises no exception, because libraries replace a
    KeyboardInterrupt in their own imports by other errors. After the end of ``main``, signals end the process at once:
    all results are written, and the interpreter would print a traceback for an exception in its functions at exit.

    Args:
        name: dotted name of the module.
    """
    protect_streams()
    check_working_directory()
    present = (signal.default_int_handler, signal.SIG_DFL)  # the latter by end_without_traceback
    handled = is_main_thread() and signal.getsignal(signal.SIGINT) in present
    try:
        if handled:
            signal.signal(signal.SIGINT, exit_at_once)
        main = importlib.import_module(name).main
        if handled:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        main()
    except KeyboardInterrupt:  # a second one, while the run reports the first
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        raise SystemExit(INTERRUPTED) from None
    finally:
        _default_signals()


def check_working_directory() -> None:
    """Exit with one line if the working directory has been removed, because no relative path can be resolved."""
    try:
        os.getcwd()
    except OSError as error:
        reason = (error.strerror or "unknown").lower()
        print(f"error: the working directory cannot be used ({reason}). Change to another one by cd.", file=sys.stderr)
        raise SystemExit(1) from None


def is_main_thread() -> bool:
    """Return whether this thread may set handlers of signals."""
    return threading.current_thread() is threading.main_thread()


def is_own_process() -> bool:
    """Return whether a script of this package, or ``python -m nas``, has started the process."""
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return bool(spec.name.partition(".")[0] == "nas")
    return Path(getattr(main, "__file__", None) or "").stem in PROGRAMS


def exit_at_once(number: int, frame: Any) -> None:
    """Handle a signal: print one line and end the process without raising an exception."""
    with suppress(OSError):
        os.write(2, LINE.encode())
    os._exit(INTERRUPTED)


def _default_signals() -> None:
    """Replace the handlers of this process by the default action of the signals, which ends it.

    A process of another program, such as a notebook, keeps its handlers.
    """
    sys.stdout.flush()
    if not is_main_thread() or not is_own_process():
        return
    for name in ("SIGINT", "SIGTERM", "SIGUSR1"):
        number = getattr(signal, name, None)
        if number is not None and callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
