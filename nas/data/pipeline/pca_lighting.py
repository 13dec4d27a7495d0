"""Shifts of color along the directions in which the pixels of ImageNet vary (PCA lighting)."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

VARIANCES = (0.2175, 0.0188, 0.0045)
"""Of the colors of ImageNet, scaled to 0..1, along ``DIRECTIONS``."""
DIRECTIONS = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))
"""One column a direction, in rows of red, green and blue."""


def lighting(x: Tensor, deviation: float, generator: Generator | None = None) -> Tensor:
    """``x`` [N, 3, H, W] of pixels in 0..1, each image shifted by one color; it may leave 0..1 by that.

    The shift is the sum over the three directions of direction * variance * n with n ~ N(0, ``deviation``^2), drawn
    once an image (Krizhevsky et al., NeurIPS 2012, with the numbers that fb.resnet.torch made usual).
    """
    draws = torch.randn(len(x), 3, generator=generator, device=x.device) * deviation
    shift = draws * torch.tensor(VARIANCES, device=x.device) @ torch.tensor(DIRECTIONS, device=x.device).T
    return x + shift.to(x.dtype)[:, :, None, None]
