"""Labels and images of all batches of a loader."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor


def labels(loader: Iterable[Any]) -> list[int]:
    """Return all labels of one pass, in order."""
    return [int(label) for _, y in loader for label in y]


def pixels(loader: Iterable[Any]) -> Tensor:
    """Return all images of one pass, in order."""
    return torch.cat([x for x, _ in loader])
