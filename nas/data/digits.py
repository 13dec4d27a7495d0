"""Handwritten digits of 8 x 8 pixels, without a download."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

import numpy as np
import torch
from numpy.typing import NDArray

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
        images, target = _read_digits()
        pixels = torch.from_numpy(images).mul(255 / 16).round().to(torch.uint8)[:, None]
        labels = torch.from_numpy(target).long()
        test = torch.arange(len(labels)) % 5 == 0
        return Splits(pixels[~test], labels[~test], pixels[test], labels[test])


def _read_digits() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the images [N, 8, 8] and the labels of ``load_digits``.

    The file of scikit-learn is read directly, because the import of scikit-learn takes longer than the import of this
    package.
    """
    package = importlib.util.find_spec("sklearn")
    directories = (package.submodule_search_locations or []) if package is not None else []
    for file in (Path(directory, "datasets", "data", "digits.csv.gz") for directory in directories):
        if file.is_file():
            rows = np.loadtxt(file, delimiter=",")
            return rows[:, :-1].reshape(-1, 8, 8), rows[:, -1].astype(np.int64)
    from sklearn.datasets import load_digits  # a version with another layout

    digits = load_digits()
    return digits.images, digits.target
