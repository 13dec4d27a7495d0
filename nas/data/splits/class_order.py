"""Detection of images that are sorted by class, and the order that replaces theirs."""

from __future__ import annotations

import torch
from torch import Tensor


def is_sorted_by_class(labels: Tensor) -> bool:
    """Return whether the images of each class follow one another, as in a list of class folders.

    Args:
        labels: classes of the images, int64 [N]. With fewer than two images per class the order has no meaning.
    """
    classes = labels.unique().numel()
    return 1 < classes <= len(labels) // 2 and int((labels[1:] != labels[:-1]).sum()) == classes - 1


def fixed_order(size: int) -> Tensor:
    """Return a random order of ``size`` images (int64), the same in every run."""
    return torch.randperm(size, generator=torch.Generator().manual_seed(0))
