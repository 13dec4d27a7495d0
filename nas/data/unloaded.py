"""Data sets for other processes."""

from __future__ import annotations

import copy
from typing import TypeVar

from nas.data.kinds import DataSet
from nas.data.text.base import TextData

D = TypeVar("D", bound=DataSet)


def unloaded(data: D) -> D:
    """Return a copy without the images or the text in memory, to be sent to another process, which loads them again."""
    found = copy.copy(data)
    if isinstance(found, TextData):
        found._corpus = None
    else:
        found._splits = None
    return found
