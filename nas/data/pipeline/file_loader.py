"""Batches from image files, decoded by worker processes with reproducible results."""

from __future__ import annotations

import logging
import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Generator, Tensor
from torch.utils.data import DataLoader, Dataset

from nas.data.pipeline.decode import ImageDecoder
from nas.data.pipeline.loader import Loader
from nas.utils.errors import NasError, one_line
from nas.utils.seeds import derive_seed

log = logging.getLogger(__name__)

OnBrokenImage = Literal["stop", "skip"]
Key = tuple[int, int]
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)
MAX_WORKERS = 8
_MAX_BROKEN = 100  # consecutive broken files before the loader raises


@dataclass(frozen=True)
class DecodedImage:
    """An image with its label, and the broken files (path, error) skipped before it. No readable file: image None."""

    image: Tensor | None
    label: int
    broken: tuple[tuple[str, str], ...] = ()


class ImageFiles(Dataset[DecodedImage]):
    """Image files with labels, indexed by (index, seed).

    Args:
        root: directory of the files.
        files: paths of the files in ``root``.
        labels: label of each file, int64.
        decode: decodes a file and augments the image.
        refill: whether the next readable file replaces a broken one.
    """

    def __init__(self, root: str, files: Sequence[str], labels: Tensor, decode: ImageDecoder, refill: bool) -> None:
        self.root, self.decode, self.refill = root, decode, refill
        # An array of bytes: a list of a million strings would be copied to each worker, page by page, on access.
        self.files = np.array([os.fsencode(file) for file in files])
        self.labels = labels.numpy()

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, key: Key) -> DecodedImage:
        index, seed = key
        broken: list[tuple[str, str]] = []
        for step in range(min(_MAX_BROKEN, len(self.files)) if self.refill else 1):
            current = (index + step) % len(self.files)
            path = os.path.join(self.root, os.fsdecode(self.files[current]))
            try:
                return DecodedImage(self.decode(path, seed), int(self.labels[current]), tuple(broken))
            except UNREADABLE as error:
                broken.append((path, one_line(error) or type(error).__name__))
        return DecodedImage(None, -1, tuple(broken))


def collate(items: Sequence[DecodedImage]) -> tuple[Tensor, Tensor, list[tuple[str, str]]]:
    """Return the images, labels and broken files of a batch. Both tensors are empty without a readable image."""
    images = [item.image for item in items if item.image is not None]
    labels = torch.tensor([item.label for item in items if item.image is not None], dtype=torch.int64)
    broken = [entry for item in items for entry in item.broken]
    return torch.stack(images) if images else torch.empty(0), labels, broken


class FileLoader(Loader):
    """Batches of image files: each image is decoded, augmented and normalized separately.

    The augmentation of an image is a function of (``seed``, ``stream``, epoch, pass, index of the image). The numbers
    of workers and ranks and the place in the batch do not change it.

    Args:
        root: folder of the relative paths ``files``.
        files: the images.
        labels: int64 [N].
        indices: images to load (int64 [M]); None: all.
        decode: builds the tensor of an image.
        on_broken_image: ``stop`` raises at a file that cannot be read. ``skip`` logs a warning with its name. In
            training the next readable file replaces it, so that batches keep their size on all ranks. In evaluation it
            is left out.
        num_workers: worker processes that decode; 0: this process; None: one per core, at most 8.
        pin_memory: use page-locked memory, from which copies to a GPU are faster.
        options: options of ``Loader``.

    Raises:
        NasError: from the iteration, at a broken file with ``stop``, or if no file can be read.
    """

    def __init__(
        self,
        root: str,
        files: Sequence[str],
        labels: Tensor,
        indices: Tensor | None = None,
        *,
        decode: ImageDecoder,
        on_broken_image: OnBrokenImage = "stop",
        num_workers: int | None = None,
        pin_memory: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(len(files), indices, **options)
        self.dataset = ImageFiles(root, files, labels, decode, refill=decode.augment and on_broken_image == "skip")
        self.on_broken_image = on_broken_image
        self.num_workers = min(MAX_WORKERS, len(os.sched_getaffinity(0))) if num_workers is None else num_workers
        self.pin_memory = pin_memory
        self._reported: set[str] = set()

    def _build_batches(
        self, pass_key: tuple[int, ...], start: int, batches: Sequence[Tensor]
    ) -> Iterator[tuple[int, tuple[Tensor, Tensor]]]:
        keys = [[(index, derive_seed(*pass_key, index)) for index in batch.tolist()] for batch in batches]
        for number, (x, y, broken) in enumerate(self._decode_batches(keys), start):
            self._report(broken)
            if len(y):
                yield number + 1, (x, y)
            elif self.dataset.refill:
                raise NasError(
                    f"{broken[-1][0]}: the last of {_MAX_BROKEN} consecutive image files that cannot be read. "
                    "Repair or remove them."
                )

    def load_images(self, indices: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        keys = [(index, derive_seed(seed, place, index)) for place, index in enumerate(indices.tolist())]
        size, parts = self.batch_size, []
        for x, y, broken in self._decode_batches([keys[first : first + size] for first in range(0, len(keys), size)]):
            self._report(broken)
            if len(y):
                parts.append((x, y))
        if not parts:
            raise NasError(f"{broken[0][0]}: the first of {len(keys)} image files, none of which can be read.")
        images, labels = zip(*parts, strict=True)
        return torch.cat(images), torch.cat(labels)

    def _decode_batches(self, keys: list[list[Key]]) -> DataLoader[Any]:
        """Return an iterable over the collated batches of ``keys``."""
        return DataLoader(
            self.dataset,
            batch_sampler=keys,
            num_workers=min(self.num_workers, len(keys)),
            collate_fn=collate,
            pin_memory=self.pin_memory,
            generator=Generator(),  # otherwise DataLoader would sample from the global one
        )

    def _report(self, broken: Sequence[tuple[str, str]]) -> None:
        for path, problem in broken:
            if self.on_broken_image == "stop":
                raise NasError(
                    f"{path}: cannot be read ({problem}). Repair or remove it, or set dataset.on_broken_image=skip."
                )
            if path not in self._reported:
                self._reported.add(path)
                log.warning("skipping unreadable image %s (%s)", path, problem)
