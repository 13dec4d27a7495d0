"""Augmentation of whole batches, on the device that holds them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from nas.data.pipeline.resize import Resize


def random_crop(x: Tensor, pad: int, generator: Generator | None = None) -> Tensor:
    """``x`` [N, C, H, W] padded with ``pad`` black pixels a side, then cut back to H x W at one offset an image."""
    n, _, height, width = x.shape
    top, left = torch.randint(0, 2 * pad + 1, (2, n), generator=generator, device=x.device)
    # All (2 pad + 1)^2 windows as a view, of which each image picks one: only the picked ones are ever copied.
    windows = F.pad(x, (pad, pad, pad, pad)).unfold(2, height, 1).unfold(3, width, 1)
    return windows[torch.arange(n, device=x.device), :, top, left]


def random_flip(x: Tensor, generator: Generator | None = None) -> Tensor:
    """``x`` [N, C, H, W] with each image mirrored left to right with probability one half."""
    flipped = torch.rand(len(x), generator=generator, device=x.device) < 0.5
    return torch.where(flipped.view(-1, 1, 1, 1), x.flip(-1), x)


def cutout(x: Tensor, size: int, generator: Generator | None = None) -> Tensor:
    """``x`` [N, C, H, W] with one square of ``size`` x ``size`` pixels set to zero in each image.

    The square covers ``center - size // 2`` up to ``center - size // 2 + size - 1``. The center is uniform over all
    pixels and the square is clipped at the borders, so it may be smaller there.
    """
    n, _, height, width = x.shape
    rows = _covered(height, size, n, x.device, generator)
    columns = _covered(width, size, n, x.device, generator)
    return x.masked_fill((rows[:, :, None] & columns[:, None, :])[:, None], 0)


def _covered(length: int, size: int, n: int, device: torch.device, generator: Generator | None) -> Tensor:
    """Which of ``length`` positions lie in a stretch of ``size`` around a random center: bool [n, length]."""
    center = torch.randint(0, length, (n, 1), generator=generator, device=device)
    offset = torch.arange(length, device=device) - (center - size // 2)
    return (offset >= 0) & (offset < size)


def normalize(x: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """``x`` [N, C, H, W] (uint8 in 0..255, or float in 0..1) as float32, less ``mean`` [C] and over ``std`` [C]."""
    if not x.is_floating_point():
        x = x.float().div_(255)
    return x.float().sub(mean.view(-1, 1, 1)).div_(std.view(-1, 1, 1))


class EvalTransform:
    """Resizes a batch where asked to, then normalizes it by ``mean`` and ``std``: one value a channel, of 0..1."""

    def __init__(self, mean: Sequence[float], std: Sequence[float], resize: Resize | None = None) -> None:
        self.mean, self.std = tuple(mean), tuple(std)
        self.resize = resize
        # Kept for each device, since a tensor built from python numbers in every step would wait for the device.
        self._constants: dict[torch.device, tuple[Tensor, Tensor]] = {}

    def __call__(self, x: Tensor, generator: Generator | None = None) -> Tensor:
        """``x`` [N, C, H, W], uint8 or float in 0..1, to float32; ``generator`` is not used."""
        if self.resize is not None:
            x = self.resize(x)
        if x.device not in self._constants:
            self._constants[x.device] = (torch.tensor(self.mean).to(x.device), torch.tensor(self.std).to(x.device))
        return normalize(x, *self._constants[x.device])


class TrainTransform:
    """Random crop, random flip, normalization, cutout: the usual augmentation of CIFAR.

    ``pad``: pixels of black padding before the crop (0: no crop). ``cutout``: side of the hole in pixels (0: none);
    it is cut after normalization, so the hole has the mean color. ``cutout_probability`` is an image's chance of it;
    it may be changed from epoch to epoch. ``resize`` follows the flip, with a part at random.
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
        """``x`` [N, C, H, W], uint8 or float in 0..1, to float32, drawn from ``generator``."""
        if self.pad:
            x = random_crop(x, self.pad, generator)
        if self.flip:
            x = random_flip(x, generator)
        if self.resize is not None:
            x = self.resize.random(x, generator)
        x = self._normalize(x)
        if not self.cutout:
            return x
        holed = cutout(x, self.cutout, generator)
        if self.cutout_probability == 1:
            return holed
        chosen = torch.rand(len(x), generator=generator, device=x.device) < self.cutout_probability
        return torch.where(chosen.view(-1, 1, 1, 1), holed, x)
