"""Reading of the files that list the images of a split."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from nas.utils.errors import NasError, one_line

T = TypeVar("T")


def read_list(path: Path, option: str, fix: str, read: Callable[[Path], T]) -> T:
    """Read a file that an option names.

    Args:
        path: the file.
        option: beginning of messages, such as ``dataset.split=FILE``.
        fix: end of messages.
        read: function that reads the file.

    Raises:
        NasError: if the file does not exist, or ``read`` raises OSError or ValueError.
    """
    try:
        return read(path)
    except FileNotFoundError:
        raise NasError(f"{option}: file not found ({path.absolute()}). {fix}") from None
    except (OSError, ValueError) as error:
        raise NasError(f"{option}: cannot be read ({one_line(error)}). {fix}") from error
