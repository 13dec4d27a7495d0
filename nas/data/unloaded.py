"""Data sets for other processes."""

from __future__ import annotations

import copy
from typing import TypeVar

from nas.data.kinds import DataSet
from nas.data.text.base import TextData

D = TypeVar("D", bound=DataSet)


def unloaded(data: D) -> D:
    """Return a copy without the images or the text in memory, to be sent to another process, which loads them again."""
    clone = copy.copy(data)
    if isinstance(clone, TextData):
        clone._corpus = None
    else:
        clone._splits = None
    return clone
