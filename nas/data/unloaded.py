"""Data sets for other processes."""

from __future__ import annotations

import copy

from nas.data.base import ImageData


def unloaded(data: ImageData) -> ImageData:
    """Return a copy without the images in memory, to be sent to another process, which loads them again."""
    found = copy.copy(data)
    found._splits = None
    return found
