"""PCA lighting: random color shifts along the principal components of the colors of ImageNet."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

VARIANCES = (0.2175, 0.0188, 0.0045)
"""Variances of the colors of ImageNet, scaled to 0..1, along ``DIRECTIONS``."""
DIRECTIONS = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))
"""Principal components as columns; the rows are red, green and blue."""


def lighting(x: Tensor, deviation: float, generator: Generator | None = None) -> Tensor:
    """Shift the color of each image of ``x`` [N, 3, H, W] at random. Pixels of 0..1 may leave this range.

    The shift is the sum over the three directions of direction * variance * n with n ~ N(0, ``deviation``^2), sampled
    once per image (Krizhevsky et al., NeurIPS 2012, with the constants of fb.resnet.torch).
    """
    weights = torch.randn(len(x), 3, generator=generator, device=x.device) * deviation
    shift = weights * torch.tensor(VARIANCES, device=x.device) @ torch.tensor(DIRECTIONS, device=x.device).T
    return x + shift.to(x.dtype)[:, :, None, None]
