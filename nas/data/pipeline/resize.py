"""Resizing of small images, such as CIFAR for networks designed for ImageNet."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from nas.utils.errors import NasError


class Resize:
    """Resize the shorter side to ``side`` pixels, then crop ``size`` x ``size`` pixels.

    The interpolation is bilinear and matches Pillow: first along columns, then along rows, and uint8 pixels are rounded
    to integers after each pass. ``Resize(224, 256)`` is the usual test transform of ImageNet networks on CIFAR.

    Raises:
        NasError: if ``size`` is below 8 or above ``side``.
    """

    def __init__(self, size: int, side: int | None = None) -> None:
        if size < 8 or (side is not None and side < size):
            raise NasError(
                f"dataset.image_size={size}, dataset.resize={side}: out of range. "
                "Set image_size to at least 8 and resize to at least image_size."
            )
        self.size, self.side = size, size if side is None else side

    def __call__(self, x: Tensor) -> Tensor:
        """Resize ``x`` [N, C, h, w] (uint8 or float), and crop the center: [N, C, size, size] of the same type."""
        x = self._resize(x)
        top, left = (round((length - self.size) / 2) for length in x.shape[2:])
        return x[:, :, top : top + self.size, left : left + self.size]

    def random_crop(self, x: Tensor, generator: Generator | None = None) -> Tensor:
        """Resize ``x`` [N, C, h, w], and crop at a uniformly random offset per image: [N, C, size, size]."""
        x, n = self._resize(x), len(x)
        top, left = (
            torch.randint(0, length - self.size + 1, (n,), generator=generator, device=x.device)
            for length in x.shape[2:]
        )
        windows = x.unfold(2, self.size, 1).unfold(3, self.size, 1)
        return windows[torch.arange(n, device=x.device), :, top, left]

    def _resize(self, x: Tensor) -> Tensor:
        short = min(x.shape[2:])
        sides = [self.side * length // short for length in x.shape[2:]]
        if sides == list(x.shape[2:]):
            return x
        return _interpolate(_interpolate(x, (x.shape[2], sides[1])), (sides[0], sides[1]))


def _interpolate(x: Tensor, sides: tuple[int, int]) -> Tensor:
    resized = F.interpolate(x.float(), sides, mode="bilinear", antialias=True)
    # Halves are rounded up. They are common, since images are usually enlarged by integer factors.
    return resized if x.is_floating_point() else resized.add_(0.5).floor_().clamp_(0, 255).to(x.dtype)
