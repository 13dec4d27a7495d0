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
    shown = longest if len(longest) <= SHOWN else f"{longest[:SHOWN]}..."
    return f"{option}the file name {shown} or its path is too long. Choose a shorter one."


def _is_part(value: str, path: str) -> bool:
    """Return whether a path contains a long value, or its long last name, apart from quotes."""
    text = value.strip("'\"")
    name = Path(text).name
    return len(text) > SHOWN and (text in path or (len(name) > SHOWN and name in path))
