"""The images of a data set in memory, and the parts of them that a run uses."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from nas.data.splits.nas_bench_201 import NAS_BENCH_201, split_test_images
from nas.data.splits.train_split import split_train_images
from nas.utils.errors import NasError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Splits:
    """Training and test images in memory: uint8 [N, C, H, W] (or float in 0..1) with labels int64 [N]."""

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor

    def to(self, device: torch.device) -> Splits:
        """Return the same images and labels on ``device``."""
        tensors = (self.train_images, self.train_labels, self.test_images, self.test_labels)
        return Splits(*(tensor.to(device) for tensor in tensors))


@dataclass(frozen=True)
class Partition:
    """Assigns the images of a data set to the weights, the architecture and the test.

    Args:
        split: ``"halves"``, the fraction for the weights or a split file (see ``split_train_images``), or
            ``"nas_bench_201"`` (see ``nas.data.splits.nas_bench_201``).
        test_split: published file with the halves of the test images, for ``split="nas_bench_201"``.
        hold_out: train a single network on the weights' part, and test it on the other part.
        bilevel: search with separate images for weights and architecture; False: train a single network.

    Raises:
        NasError: if the options contradict each other.
    """

    split: str | float
    test_split: str | Path | None
    hold_out: bool
    bilevel: bool

    def __post_init__(self) -> None:
        if self.split == "xvalid":
            raise NasError("dataset.split=xvalid: this value was renamed. Set dataset.split=nas_bench_201.")
        if self.test_split is not None and self.split != NAS_BENCH_201:
            raise NasError(
                f"dataset.test_split={self.test_split}: has no effect with dataset.split={self.split}. "
                "Set dataset.split=nas_bench_201, or leave out dataset.test_split."
            )
        if self.hold_out and self.bilevel:
            raise NasError(
                "dataset.hold_out=true: a search already uses both parts of the training images. "
                "Leave out dataset.hold_out, or set dataset.bilevel=false."
            )
        if self.hold_out and self.split == NAS_BENCH_201:
            raise NasError(
                f"dataset.hold_out=true: dataset.split={self.split} holds out no training images. "
                "Set dataset.split=halves, a fraction or a split file."
            )

    def describe_test_images(self) -> str:
        """Describe the test images of the partition, for logs and summaries."""
        if self.hold_out:
            return f"training images held out by split={self.split}"
        if self.split != NAS_BENCH_201:
            return "test images"
        half = "the second half, in their order" if self.test_split is None else f"xtest of {self.test_split}"
        return f"half of the test images ({half})"

    def select(self, loaded: Splits, published: str) -> Splits:
        """Return the images that a run trains and tests on.

        In a search with ``split="nas_bench_201"`` the architecture's half of the test images is appended to the
        training images.

        Args:
            loaded: all images of the data set.
            published: name of the published ``test_split`` file, for messages.
        """
        images, labels, test_images, test_labels = vars(loaded).values()
        if self.hold_out:
            first, second = split_train_images(self.split, len(labels))
            log.info(
                "hold-out       training on %d of %d training images, testing on the other %d (dataset.split=%s)",
                *(len(first), len(labels), len(second), self.split),
            )
            return Splits(images[first], labels[first], images[second], labels[second])
        if self.split != NAS_BENCH_201:
            return loaded
        size = len(test_labels)
        xvalid, xtest = split_test_images(self.test_split, size, published)
        if self.test_split is None:
            log.info(
                "test split     the second half of the %d test images in their order; for the halves of NAS-Bench-201 "
                "set dataset.test_split=%s",
                *(size, published),
            )
        if self.bilevel:
            images, labels = torch.cat([images, test_images[xvalid]]), torch.cat([labels, test_labels[xvalid]])
        return Splits(images, labels, test_images[xtest], test_labels[xtest])

    def part_indices(self, size: int, loaded_size: int) -> dict[str, Tensor]:
        """Return the indices (int64) of the selected training images by part: ``train`` and, in a search, ``val``.

        Args:
            size: number of training images after ``select``.
            loaded_size: number of training images before ``select``.
        """
        if not self.bilevel:
            return {"train": torch.arange(size)}
        if self.split == NAS_BENCH_201:
            return {"train": torch.arange(loaded_size), "val": torch.arange(loaded_size, size)}
        return dict(zip(("train", "val"), split_train_images(self.split, size), strict=True))
