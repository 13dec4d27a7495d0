"""Synthetic images of any shape, for tests and benchmarks of speed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import torch
from torch import Generator, Tensor

from nas.data.base import ImageData, ImageOptions
from nas.data.splits.partition import Splits
from nas.utils.errors import NasError
from nas.utils.ranges import CLASSES, NOT_NEGATIVE, PIXELS, Range, check_ranges

_CHUNK = 1024  # images sampled at a time, since sampling takes four times the memory of the images


@check_ranges(
    shape=PIXELS,
    classes=CLASSES,
    size=Range(1, 10**8, whole=True),
    test_size=Range(1, 10**8, whole=True),
    noise=NOT_NEGATIVE,
)
class Synthetic(ImageData):
    """A fixed random pattern per class, plus noise: a learnable data set that is a function of ``seed``.

    Args:
        shape: channels, height and width of an image.
        classes: number of classes, with independent patterns.
        size, test_size: number of training and test images; classes are balanced up to one image.
        noise: standard deviation of the noise, relative to that of the patterns.
        mean, std: normalization, a value for all channels or a value per channel.
        pad, flip, options: see ``ImageData``.

    Raises:
        NasError: if a number of images, classes or pixels is below 1, or ``noise`` below 0.
    """

    name = "synthetic"

    def __init__(
        self,
        *,
        shape: Sequence[int] = (3, 32, 32),
        classes: int = 10,
        size: int = 1024,
        test_size: int = 256,
        noise: float = 1.0,
        mean: float | Sequence[float] = 0.5,
        std: float | Sequence[float] = 0.25,
        pad: int = 0,
        flip: bool = False,
        **options: Unpack[ImageOptions],
    ) -> None:
        sides = tuple(shape)
        if len(sides) != 3:
            raise NasError(f"dataset.shape={list(sides)}: needs three numbers. Set [channels,height,width].")
        self.shape = (sides[0], sides[1], sides[2])
        self.classes, self.size, self.test_size, self.noise = classes, size, test_size, noise
        means, stds = ((value,) * sides[0] if isinstance(value, int | float) else value for value in (mean, std))
        super().__init__(mean=means, std=stds, pad=pad, flip=flip, **options)

    def load(self) -> Splits:
        """Sample the patterns, then the training and the test images."""
        generator = Generator().manual_seed(self.seed)
        patterns = torch.randn(self.classes, *self.stored_shape, generator=generator)
        train = self._sample(patterns, self.size, generator)
        return Splits(*train, *self._sample(patterns, self.test_size, generator))

    def _sample(self, patterns: Tensor, size: int, generator: Generator) -> tuple[Tensor, Tensor]:
        """Return images (uint8 [size, C, H, W]) and labels (int64 [size]) in random order."""
        labels = torch.arange(size)[torch.randperm(size, generator=generator)] % self.classes
        images = torch.empty(size, *self.stored_shape, dtype=torch.uint8)
        scale = 64 / (1 + self.noise**2) ** 0.5  # a quarter of the range, so that the default mean and std fit
        for start in range(0, size, _CHUNK):
            pattern = patterns[labels[start : start + _CHUNK]]
            pixels = pattern + self.noise * torch.randn(pattern.shape, generator=generator)
            images[start : start + _CHUNK] = (127.5 + scale * pixels).clamp_(0, 255).to(torch.uint8)
        return images, labels
