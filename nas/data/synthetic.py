"""Made-up images of any shape, for tests and for measuring time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import torch
from torch import Generator, Tensor

from nas.data.base import ImageData, ImageOptions, Splits
from nas.utils.errors import NasError

_CHUNK = 1024  # images drawn at a time, since a draw needs four times the memory of its images


class Synthetic(ImageData):
    """One fixed random pattern a class, plus noise: learnable, and wholly determined by ``seed``.

    Args:
        shape: channels, height and width of an image.
        classes: number of classes; the patterns are drawn independently.
        size, test_size: number of training and of test images, each class equally often (up to one image).
        noise: standard deviation of the noise, in units of that of the patterns.
        mean, std: normalization, one value for all channels, or one for each as a training protocol gives them.
        options: those of ``ImageData``.

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
        if len(sides) != 3 or min(*sides, classes, size, test_size) < 1 or noise < 0:
            raise NasError(
                f"synthetic data got shape {sides}, classes {classes}, size {size}, test_size {test_size}, "
                f"noise {noise}: it needs three numbers of shape, all numbers at least 1, noise at least 0"
            )
        self.shape = (sides[0], sides[1], sides[2])
        self.classes, self.size, self.test_size, self.noise = classes, size, test_size, noise
        means, stds = ((value,) * sides[0] if isinstance(value, int | float) else value for value in (mean, std))
        super().__init__(mean=means, std=stds, pad=pad, flip=flip, **options)

    def load(self) -> Splits:
        """Draw the patterns, then the training and the test images."""
        generator = Generator().manual_seed(self.seed)
        patterns = torch.randn(self.classes, *self.held, generator=generator)
        train = self._draw(patterns, self.size, generator)
        return Splits(*train, *self._draw(patterns, self.test_size, generator))

    def _draw(self, patterns: Tensor, size: int, generator: Generator) -> tuple[Tensor, Tensor]:
        """Images uint8 [size, C, H, W] and labels int64 [size], in random order."""
        labels = torch.arange(size)[torch.randperm(size, generator=generator)] % self.classes
        images = torch.empty(size, *self.held, dtype=torch.uint8)
        scale = 64 / (1 + self.noise**2) ** 0.5  # a quarter of the range, which makes mean and std fit by default
        for start in range(0, size, _CHUNK):
            pattern = patterns[labels[start : start + _CHUNK]]
            drawn = pattern + self.noise * torch.randn(pattern.shape, generator=generator)
            images[start : start + _CHUNK] = (127.5 + scale * drawn).clamp_(0, 255).to(torch.uint8)
        return images, labels
