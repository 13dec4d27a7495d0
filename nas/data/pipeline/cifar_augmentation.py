"""CIFAR augmentation (random crop, flip, cutout) of whole batches, on the device that stores the images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from nas.data.pipeline.resize import Resize


def random_crop(x: Tensor, pad: int, generator: Generator | None = None) -> Tensor:
    """Pad ``x`` [N, C, H, W] with ``pad`` black pixels per side, and crop H x W at a random offset per image."""
    n, _, height, width = x.shape
    top, left = torch.randint(0, 2 * pad + 1, (2, n), generator=generator, device=x.device)
    # A view of all (2 pad + 1)^2 windows, of which each image selects one. Only the selected windows are copied.
    windows = F.pad(x, (pad, pad, pad, pad)).unfold(2, height, 1).unfold(3, width, 1)
    return windows[torch.arange(n, device=x.device), :, top, left]


def random_flip(x: Tensor, generator: Generator | None = None) -> Tensor:
    """Mirror each image of ``x`` [N, C, H, W] left to right with probability 1/2."""
    flipped = torch.rand(len(x), generator=generator, device=x.device) < 0.5
    return torch.where(flipped.view(-1, 1, 1, 1), x.flip(-1), x)


def cutout(x: Tensor, size: int, generator: Generator | None = None) -> Tensor:
    """Set a random square of ``size`` x ``size`` pixels to zero in each image of ``x`` [N, C, H, W].

    The square spans ``center - size // 2`` to ``center - size // 2 + size - 1``. The center is uniform over all pixels.
    The square is clipped at the borders, so it may be smaller there (DeVries and Taylor, 2017).
    """
    n, _, height, width = x.shape
    rows = _random_span(height, size, n, x.device, generator)
    columns = _random_span(width, size, n, x.device, generator)
    return x.masked_fill((rows[:, :, None] & columns[:, None, :])[:, None], 0)


def _random_span(length: int, size: int, n: int, device: torch.device, generator: Generator | None) -> Tensor:
    """Return a mask (bool [n, length]) of ``size`` positions around a random center per row."""
    center = torch.randint(0, length, (n, 1), generator=generator, device=device)
    offset = torch.arange(length, device=device) - (center - size // 2)
    return (offset >= 0) & (offset < size)


def normalize(x: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Normalize ``x`` [N, C, H, W] (uint8 in 0..255, or float in 0..1) to float32 by ``mean`` [C] and ``std`` [C]."""
    if not x.is_floating_point():
        x = x.float().div_(255)
    return x.float().sub(mean.view(-1, 1, 1)).div_(std.view(-1, 1, 1))


class EvalTransform:
    """Optional resize, then normalization by ``mean`` and ``std``: a value per channel, for pixels in 0..1."""

    def __init__(self, mean: Sequence[float], std: Sequence[float], resize: Resize | None = None) -> None:
        self.mean, self.std = tuple(mean), tuple(std)
        self.resize = resize
        # Cached per device, since a tensor built from Python numbers in every step would synchronize the device.
        self._constants: dict[torch.device, tuple[Tensor, Tensor]] = {}

    def __call__(self, x: Tensor, generator: Generator | None = None) -> Tensor:
        """Transform ``x`` [N, C, H, W] (uint8, or float in 0..1) to float32. ``generator`` is unused."""
        if self.resize is not None:
            x = self.resize(x)
        if x.device not in self._constants:
            self._constants[x.device] = (torch.tensor(self.mean).to(x.device), torch.tensor(self.std).to(x.device))
        return normalize(x, *self._constants[x.device])


class TrainTransform:
    """CIFAR training augmentation: random crop, random flip, optional resize, normalization, cutout.

    Cutout follows normalization, so the hole has the mean color. ``cutout_probability`` is the probability of cutout
    per image; callbacks may change it during training.

    Args:
        mean, std: normalization, a value per channel, for pixels in 0..1.
        pad: pixels of black padding for the random crop; 0: no crop.
        flip: mirror images at random.
        cutout: side of the hole in pixels; 0: none.
        resize: resize after the flip, and crop at random.
    """

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        pad: int = 4,
        flip: bool = True,
        cutout: int = 0,
        resize: Resize | None = None,
    ) -> None:
        self.pad, self.flip, self.cutout, self.resize = pad, flip, cutout, resize
        self.cutout_probability = 1.0
        self._normalize = EvalTransform(mean, std)

    def __call__(self, x: Tensor, generator: Generator | None = None) -> Tensor:
        """Augment ``x`` [N, C, H, W] (uint8, or float in 0..1) to float32, with random numbers of ``generator``."""
        if self.pad:
            x = random_crop(x, self.pad, generator)
        if self.flip:
            x = random_flip(x, generator)
        if self.resize is not None:
            x = self.resize.random_crop(x, generator)
        x = self._normalize(x)
        if not self.cutout:
            return x
        with_hole = cutout(x, self.cutout, generator)
        if self.cutout_probability == 1:
            return with_hole
        selected = torch.rand(len(x), generator=generator, device=x.device) < self.cutout_probability
        return torch.where(selected.view(-1, 1, 1, 1), with_hole, x)
