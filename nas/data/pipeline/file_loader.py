"""Batches from image files, decoded by worker processes that cannot change what comes out."""

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

from nas.data.pipeline.decode import Decode
from nas.data.pipeline.loader import Loader, derive_seed
from nas.utils.errors import NasError, one_line

log = logging.getLogger(__name__)

OnBrokenImage = Literal["stop", "skip"]
Key = tuple[int, int]
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)
MAX_WORKERS = 8
_TRIES = 100  # files one after the other that may be broken before a folder is given up


@dataclass(frozen=True)
class Item:
    """One image (None: there is none) with its label, and the broken files met on the way with what they said."""

    image: Tensor | None
    label: int
    broken: tuple[tuple[str, str], ...] = ()


class Files(Dataset[Item]):
    """Image files with labels, asked for by (index, seed). ``refill`` puts the next readable file in a broken one's
    place."""

    def __init__(self, root: str, files: Sequence[str], labels: Tensor, decode: Decode, refill: bool) -> None:
        self.root, self.decode, self.refill = root, decode, refill
        # An array of bytes: a list of a million strings is copied to each worker piece by piece as it is looked at.
        self.files = np.array([os.fsencode(file) for file in files])
        self.labels = labels.numpy()

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, key: Key) -> Item:
        index, seed = key
        broken: list[tuple[str, str]] = []
        for step in range(min(_TRIES, len(self.files)) if self.refill else 1):
            at = (index + step) % len(self.files)
            path = os.path.join(self.root, os.fsdecode(self.files[at]))
            try:
                return Item(self.decode(path, seed), int(self.labels[at]), tuple(broken))
            except UNREADABLE as error:
                broken.append((path, one_line(error) or type(error).__name__))
        return Item(None, -1, tuple(broken))


def collate(items: Sequence[Item]) -> tuple[Tensor, Tensor, list[tuple[str, str]]]:
    """Images, labels, and the broken files of a batch. Without a readable image both tensors are empty."""
    images = [item.image for item in items if item.image is not None]
    labels = torch.tensor([item.label for item in items if item.image is not None], dtype=torch.int64)
    broken = [entry for item in items for entry in item.broken]
    return torch.stack(images) if images else torch.empty(0), labels, broken


class FileLoader(Loader):
    """Batches of image files: decoded, augmented and normalized one by one.

    The augmentation of an image is drawn from (``seed``, ``stream``, epoch, pass, its number): neither the number of
    workers nor that of ranks, nor its place in the batch, changes it.

    Args:
        root: the folder that ``files`` are relative to.
        files: the images.
        labels: int64 [N].
        indices: the images to use (int64 [M]), all if ``None``.
        decode: makes the tensor of an image.
        on_broken_image: ``stop`` raises at a file that cannot be read. ``skip`` logs a warning with its name. In
            training the next readable file replaces it, so that batches keep their size on all ranks. In evaluation it
            is left out.
        num_workers: processes that decode; 0: this one; ``None``: one a core, at most 8.
        pinned: into memory from which a GPU copies faster.
        options: those of ``Loader``.

    Raises:
        NasError: from the iteration, at a broken file with ``stop``, or where nothing can be read.
    """

    def __init__(
        self,
        root: str,
        files: Sequence[str],
        labels: Tensor,
        indices: Tensor | None = None,
        *,
        decode: Decode,
        on_broken_image: OnBrokenImage = "stop",
        num_workers: int | None = None,
        pinned: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(len(files), indices, **options)
        self.dataset = Files(root, files, labels, decode, refill=decode.augment and on_broken_image == "skip")
        self.on_broken_image = on_broken_image
        self.num_workers = min(MAX_WORKERS, len(os.sched_getaffinity(0))) if num_workers is None else num_workers
        self.pinned = pinned
        self._named: set[str] = set()

    def _batches(
        self, place: tuple[int, ...], start: int, batches: Sequence[Tensor]
    ) -> Iterator[tuple[int, tuple[Tensor, Tensor]]]:
        keys = [[(index, derive_seed(*place, index)) for index in batch.tolist()] for batch in batches]
        for number, (x, y, broken) in enumerate(self._decoded(keys), start):
            self._tell(broken)
            if len(y):
                yield number + 1, (x, y)
            elif self.dataset.refill:
                raise NasError(f"{_TRIES} image files in a row cannot be read, the last of them {broken[-1][0]}")

    def load_images(self, picked: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        keys = [(index, derive_seed(seed, place, index)) for place, index in enumerate(picked.tolist())]
        size, parts = self.batch_size, []
        for x, y, broken in self._decoded([keys[at : at + size] for at in range(0, len(keys), size)]):
            self._tell(broken)
            if len(y):
                parts.append((x, y))
        if not parts:
            raise NasError(f"none of {len(keys)} image files can be read, the first of them {broken[0][0]}")
        images, labels = zip(*parts, strict=True)
        return torch.cat(images), torch.cat(labels)

    def _decoded(self, keys: list[list[Key]]) -> DataLoader[Any]:
        """What ``collate`` makes of each batch of ``keys``."""
        return DataLoader(
            self.dataset,
            batch_sampler=keys,
            num_workers=min(self.num_workers, len(keys)),
            collate_fn=collate,
            pin_memory=self.pinned,
            generator=Generator(),  # else the global one would be drawn from
        )

    def _tell(self, broken: Sequence[tuple[str, str]]) -> None:
        for path, why in broken:
            if self.on_broken_image == "stop":
                raise NasError(f"cannot read {path} ({why}): mend or remove it, or use dataset.on_broken_image=skip")
            if path not in self._named:
                self._named.add(path)
                log.warning("left out, as it cannot be read: %s (%s)", path, why)
