"""Handwritten digits of 8 x 8 pixels: real images that need no download."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import torch

from nas.data.base import ImageData, ImageOptions, Splits


class Digits(ImageData):
    """The 1,797 gray images of scikit-learn's ``load_digits``: every fifth is a test image, the others train.

    The options are those of ``ImageData``.
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
        """The images with their values, 0..16 in scikit-learn, scaled to 0..255."""
        # Imported here as it takes longer than all the rest of this package.
        from sklearn.datasets import load_digits

        digits = load_digits()
        images = torch.from_numpy(digits.images).mul(255 / 16).round().to(torch.uint8)[:, None]
        labels = torch.from_numpy(digits.target).long()
        test = torch.arange(len(labels)) % 5 == 0
        return Splits(images[~test], labels[~test], images[test], labels[test])
