"""The images of a data set in memory, and the parts of them that a run uses."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from nas.data.splits.class_order import fixed_order, is_sorted_by_class
from nas.data.splits.nas_bench_201 import HALVES, NAS_BENCH_201, parse_test_split, split_test_images
from nas.data.splits.train_split import parse_train_split, split_train_images
from nas.utils.errors import NasError
from nas.utils.ranges import Range, check

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
        test_split: file with the halves of the test images, for ``split="nas_bench_201"``; ``"halves"``: equal halves;
            None: ``official``.
        hold_out: train a single network on the weights' part, and test it on the other part.
        bilevel: search with separate images for weights and architecture; False: train a single network.
        halves_training: ``"nas_bench_201"`` halves the training images, as on CIFAR-10, and not the test images.
        official: content of the official list, for ``split="nas_bench_201"``; None: equal halves.

    Raises:
        NasError: if the options contradict each other.
    """

    split: str | float
    test_split: str | Path | None
    hold_out: bool
    bilevel: bool
    halves_training: bool = False
    official: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.split == "xvalid":
            raise NasError("dataset.split=xvalid: this value was renamed. Set dataset.split=nas_bench_201.")
        if not isinstance(self.split, str | Path):
            check("dataset.split", self.split, Range(0, 1, above=True, below=True))
        if self.test_split is not None and not self.halves_test:
            fix = "Leave" if self.halves_training else "Set dataset.split=nas_bench_201, or leave"
            raise NasError(
                f"dataset.test_split={self.test_split}: has no effect with dataset.split={self.split}. "
                f"{fix} out dataset.test_split."
            )
        if self.hold_out and self.bilevel:
            raise NasError(
                "dataset.hold_out=true: a search already uses both parts of the training images. "
                "Leave out dataset.hold_out, or set dataset.bilevel=false."
            )
        if self.hold_out and self.halves_test:
            raise NasError(
                f"dataset.hold_out=true: dataset.split={self.split} holds out no training images. "
                "Set dataset.split=halves, a fraction or a split file."
            )

    @property
    def halves_test(self) -> bool:
        """True if the test images are halved between the architecture and the test."""
        return self.split == NAS_BENCH_201 and not self.halves_training

    @property
    def uses_official_list(self) -> bool:
        """True if the official list, or equal halves instead of it, selects any image."""
        if self.split != NAS_BENCH_201 or self.test_split is not None:
            return False
        return not self.halves_training or self.bilevel or self.hold_out

    def with_official(self, content: str | None) -> Partition:
        """Return the same partition with the content of the official list, None for equal halves."""
        return replace(self, official=content, test_split=HALVES if content is None and self.halves_test else None)

    def describe_test_images(self) -> str:
        """Describe the test images of the partition, for logs and summaries."""
        if self.hold_out:
            return f"training images held out by split={self.split}"
        if not self.halves_test:
            return "test images"
        half = "the second half, in their order"
        if self.official is not None or self.test_split not in (None, HALVES):
            half = f"xtest of {self.test_split or 'the official list'}"
        return f"half of the test images ({half})"

    def mix_classes(self, loaded: Splits) -> Splits:
        """Return the images, in a fixed random order if they are sorted by class and the run splits them by position.

        Otherwise the two parts would have different classes.
        """
        images, labels, test_images, test_labels = vars(loaded).values()
        by_position = self.official is None and (self.split in (HALVES, NAS_BENCH_201) or isinstance(self.split, float))
        if self.halves_test:
            if by_position and self.test_split in (None, HALVES) and is_sorted_by_class(test_labels):
                order = fixed_order(len(test_labels))
                test_images, test_labels = test_images[order], test_labels[order]
                log.info("split          the test images are sorted by class; their order becomes a fixed random one")
        elif (self.bilevel or self.hold_out) and by_position and is_sorted_by_class(labels):
            order = fixed_order(len(labels))
            images, labels = images[order], labels[order]
            log.info("split          the training images are sorted by class; their order becomes a fixed random one")
        return Splits(images, labels, test_images, test_labels)

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
            first, second = self._train_parts(len(labels))
            log.info(
                "hold-out       training on %d of %d training images, testing on the other %d (dataset.split=%s)",
                *(len(first), len(labels), len(second), self.split),
            )
            return Splits(images[first], labels[first], images[second], labels[second])
        if not self.halves_test:
            return loaded
        size = len(test_labels)
        if self.official is None:
            xvalid, xtest = split_test_images(self.test_split, size, published)
        else:
            xvalid, xtest = parse_test_split(self.official, size, "dataset.split=nas_bench_201", published)
        if self.test_split is None and self.official is None:  # a data set without an official list
            log.info(
                "test split     the second half of the %d test images in their order; for other halves set "
                "dataset.test_split=%s",
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
        if self.halves_test:
            return {"train": torch.arange(loaded_size), "val": torch.arange(loaded_size, size)}
        return dict(zip(("train", "val"), self._train_parts(size), strict=True))

    def _train_parts(self, size: int) -> tuple[Tensor, Tensor]:
        """Return the indices of the training images for the weights and for the architecture."""
        if self.official is not None:
            return parse_train_split(self.official, size, f"dataset.split={self.split}")
        return split_train_images(HALVES if self.split == NAS_BENCH_201 else self.split, size)
