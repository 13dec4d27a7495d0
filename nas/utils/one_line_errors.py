"""Commands without Hydra: one line on stderr for each mistake, interrupt or other error, and the exit code."""

from __future__ import annotations

import errno
import functools
import os
import sys
from collections.abc import Sequence
from typing import Protocol

from nas.utils.environment_errors import environment_error
from nas.utils.errors import NasError, is_interrupt, one_line, unexplained
from nas.utils.long_names import too_long
from nas.utils.printable import printable

MAX_MESSAGE = 4000  # characters
FULL = (errno.ENOSPC, errno.EDQUOT)
"""Errors of a full disk and of an exhausted quota."""
INTERRUPTED = 130
"""Exit code of a command that Ctrl-C stopped."""


class Main(Protocol):
    """Function of a command: it takes the arguments, those of the process by default, and returns the exit code."""

    def __call__(self, arguments: Sequence[str] | None = None) -> int: ...


def one_line_errors(main: Main) -> Main:
    """Decorate the ``main`` of a command so that it prints one line for an error and returns the exit code.

    HYDRA_FULL_ERROR=1 raises all errors but interrupts, as in a run.
    """

    @functools.wraps(main)
    def decorated(arguments: Sequence[str] | None = None) -> int:
        try:
            return main(sys.argv[1:] if arguments is None else arguments)
        except BrokenPipeError:  # of `nas-search leaderboard | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        except (Exception, KeyboardInterrupt) as error:
            if is_interrupt(error):  # also an error of a library that was interrupted
                print("error: interrupted. Run the command again.", file=sys.stderr)
                return INTERRUPTED
            if os.environ.get("HYDRA_FULL_ERROR") == "1":
                raise
            line = _line(error) or f"{unexplained(error)} (HYDRA_FULL_ERROR=1 shows the traceback)"
            print(f"error: {printable(line, MAX_MESSAGE)}", file=sys.stderr)
            return 1

    return decorated


def _line(error: BaseException) -> str | None:
    """Return the line of a mistake of the user or of a file that cannot be used, None for any other error."""
    if isinstance(error, NasError):
        return one_line(error)
    if (line := environment_error(error)) is not None:
        return line
    if isinstance(error, MemoryError):
        return "the memory of this machine is exhausted. Use smaller values."
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG and error.filename:
        return too_long(str(error.filename), sys.argv[1:])
    if isinstance(error, OSError) and error.errno is not None and error.filename is not None:
        reason = (error.strerror or os.strerror(error.errno)).lower()
        fix = "Free space, or choose another directory" if error.errno in FULL else "Choose another file or directory"
        return f"{error.filename}: {reason}. {fix}."
    return one_line(error) if isinstance(error, OSError) else None
