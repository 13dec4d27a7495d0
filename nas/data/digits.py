"""Handwritten digits of 8 x 8 pixels, without a download."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import torch

from nas.data.base import ImageData, ImageOptions
from nas.data.splits.partition import Splits


class Digits(ImageData):
    """The 1,797 grayscale images of scikit-learn's ``load_digits``. Every fifth image is a test image.

    See ``ImageData`` for the options.
    """

    name = "digits"
    shape = (1, 8, 8)
    classes = 10
    class_names = tuple("0123456789")

    def __init__(
        self,
        *,
        mean: Sequence[float] = (0.3052,),
        std: Sequence[float] = (0.3763,),
        pad: int = 1,
        flip: bool = False,
        **options: Unpack[ImageOptions],
    ) -> None:
        super().__init__(mean=mean, std=std, pad=pad, flip=flip, **options)

    def load(self) -> Splits:
        """Read the images, and scale their values from 0..16 to 0..255."""
        # Imported here, since it takes longer than the import of this whole package.
        from sklearn.datasets import load_digits

        digits = load_digits()
        images = torch.from_numpy(digits.images).mul(255 / 16).round().to(torch.uint8)[:, None]
        labels = torch.from_numpy(digits.target).long()
        test = torch.arange(len(labels)) % 5 == 0
        return Splits(images[~test], labels[~test], images[test], labels[test])
