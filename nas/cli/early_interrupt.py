"""Interrupts at the start of a program, before ``nas.cli.entry`` is imported."""

import signal


def end_without_traceback() -> None:
    """Let Ctrl-C end the process at once, without the traceback that Python prints for an interrupted import.

    A handler that is set already stays, as does the ignored signal of a job in the background. ``run_program`` replaces
    the default action by a handler that prints one line.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    except ValueError:  # outside of the main thread, which handles the signals
        return


def raise_interrupts() -> None:
    """Let Ctrl-C raise KeyboardInterrupt again, after ``end_without_traceback``."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
