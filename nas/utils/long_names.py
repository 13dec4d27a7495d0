"""Error of a file name that the file system does not accept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

SHOWN = 40  # characters of the name in the message


def too_long(name: str, arguments: Sequence[str]) -> str:
    """Return the line about a file whose path or name is too long.

    Args:
        name: the path.
        arguments: the command line. The line begins with the option that names the path, if there is one.
    """
    words = [argument.strip("'\"") for argument in arguments]
    given = next((word for word in words if _is_part(word, name) or _is_part(word.partition("=")[2], name)), None)
    option = "" if given is None or "=" not in given else f"{given.partition('=')[0]}: "
    longest = max(Path(name).parts, key=len)
    return f"{option}the file name {longest[:SHOWN]}... or its path is too long. Choose a shorter one."


def _is_part(value: str, path: str) -> bool:
    """Return whether a path ends in the name of a value, apart from quotes, a suffix and the parts of a run."""
    name = Path(value.strip("'\"")).name
    return len(name) > SHOWN and name in path
