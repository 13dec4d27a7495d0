"""Small images brought to the size that networks for ImageNet are made for."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from nas.utils.errors import NasError


class Resize:
    """Images [N, C, h, w] with the shorter side brought to ``side``, then ``size`` x ``size`` pixels of each.

    Bilinear, as Pillow does it: columns, then rows, pixels of uint8 rounded to whole levels after each. ``Resize(224,
    256)`` is how networks for ImageNet are tested on CIFAR.

    Raises:
        NasError: if ``size`` is below 8 or above ``side``.
    """

    def __init__(self, size: int, side: int | None = None) -> None:
        if size < 8 or (side is not None and side < size):
            raise NasError(
                f"image_size={size}, resize={side}: images need 8 pixels a side, and to be resized to no less than that"
            )
        self.size, self.side = size, size if side is None else side

    def __call__(self, x: Tensor) -> Tensor:
        """The middle of ``x`` [N, C, h, w], uint8 or float: [N, C, size, size] of the same type."""
        x = self._resized(x)
        top, left = (round((length - self.size) / 2) for length in x.shape[2:])
        return x[:, :, top : top + self.size, left : left + self.size]

    def random(self, x: Tensor, generator: Generator | None = None) -> Tensor:
        """The same with a part of each image, uniformly placed."""
        x, n = self._resized(x), len(x)
        top, left = (
            torch.randint(0, length - self.size + 1, (n,), generator=generator, device=x.device)
            for length in x.shape[2:]
        )
        windows = x.unfold(2, self.size, 1).unfold(3, self.size, 1)
        return windows[torch.arange(n, device=x.device), :, top, left]

    def _resized(self, x: Tensor) -> Tensor:
        short = min(x.shape[2:])
        sides = [self.side * length // short for length in x.shape[2:]]
        if sides == list(x.shape[2:]):
            return x
        return _interpolated(_interpolated(x, (x.shape[2], sides[1])), (sides[0], sides[1]))


def _interpolated(x: Tensor, sides: tuple[int, int]) -> Tensor:
    found = F.interpolate(x.float(), sides, mode="bilinear", antialias=True)
    # halves go up: a network's images are enlarged by whole factors, so that halves are common
    return found if x.is_floating_point() else found.add_(0.5).floor_().clamp_(0, 255).to(x.dtype)
