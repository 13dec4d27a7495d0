"""The exception for user errors, and the text of its messages."""

from __future__ import annotations

import difflib
import re
import sysconfig
import traceback
from collections.abc import Iterable, Iterator, Sequence
from itertools import dropwhile
from pathlib import Path

from nas.utils.user_path import real_path

MAX_LISTED = 40
"""Number of choices up to which a message lists all of them."""
PACKAGE = Path(__file__).parents[1]


class NasError(Exception):
    """A user error. The message is one line: ``key=value: problem. Fix.``"""


class TrialPruned(Exception):  # noqa: N818, a result and not an error
    """Early end of a trial of a hyperparameter study. The message has the epoch and the value."""


def unknown(kind: str, name: str, choices: Iterable[str]) -> NasError:
    """Return the error for a name that is not among ``choices``; the message suggests the nearest choice.

    Args:
        kind: noun for the name, or its configuration key.
        name: the unknown name.
        choices: the valid names.
    """
    valid = sorted(choices)
    if not valid:
        return NasError(f"unknown {kind} '{name}': there are no choices")
    hint = hint_of_choices(name, valid)
    return NasError(f"unknown {kind} '{name}': {hint[0].lower() if hint.startswith('Did') else hint[0]}{hint[1:]}")


def hint_of_choices(name: str, choices: Iterable[str]) -> str:
    """Return the sentences that name the valid choices most similar to ``name``, and all choices if they are few."""
    valid = sorted(choices)
    near = nearest(name, valid, 1 if len(valid) <= MAX_LISTED else 3)
    hint = f"Did you mean {' or '.join(repr(choice) for choice in near)}?" if near else ""
    listed = f"Choose from {', '.join(valid)}." if len(valid) <= MAX_LISTED or not near else ""
    return f"{hint} {listed}".strip()


def nearest(name: str, choices: Sequence[str], count: int, cutoff: float = 0.5) -> list[str]:
    """Return up to ``count`` of the choices most similar to ``name``, best first; capitals make no difference."""
    lowered: dict[str, list[str]] = {}
    for choice in choices:
        lowered.setdefault(choice.lower(), []).append(choice)
    matches = difflib.get_close_matches(str(name).lower(), lowered, n=count, cutoff=cutoff)
    return [choice for match in matches for choice in lowered[match]][:count]


def error_chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and the errors during whose handling it was raised."""
    while error is not None:
        yield error
        error = error.__context__


def is_interrupt(stop: BaseException) -> bool:
    """Return whether Ctrl-C or SIGTERM caused an exit, or an error of an interrupted library.

    Lightning turns both signals into SystemExit.
    """
    return any(
        isinstance(one, KeyboardInterrupt) or type(one).__name__ == "SIGTERMException" for one in error_chain(stop)
    )


def one_line(error: object) -> str:
    """Return the text of an error, or of any object, without line breaks and without the number of a system error."""
    text = " ".join(str(error).split())
    return re.sub(r"^\[Errno -?\d+\] ", "", text) if isinstance(error, OSError) else text


def unexplained(error: BaseException) -> str:
    """Return one line for an unexpected error: its type, its text, and its place.

    The place is the last line of a user's code that this package has called, or else the last line of all.
    """
    frames = traceback.extract_tb(error.__traceback__)
    called = list(dropwhile(lambda frame: not _is_in(frame.filename, PACKAGE), frames))
    own = [frame for frame in called if _is_users(frame.filename)]
    last = (own or frames)[-1:]
    place = f" in {Path(last[0].filename).name}:{last[0].lineno}" if last else ""
    return f"unexpected {one_line(''.join(traceback.format_exception_only(error)))}{place}"


def _is_users(filename: str) -> bool:
    """Return whether a file of code belongs neither to this project nor to an installed package nor to Python."""
    libraries = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    folders = [PACKAGE, PACKAGE.parent / "hydra_plugins", *map(Path, libraries)]
    return Path(filename).is_file() and not any(_is_in(filename, folder) for folder in folders)


def _is_in(filename: str, folder: Path) -> bool:
    return real_path(filename).is_relative_to(real_path(folder))
