"""Division of class folders without test images into training and test images, and its file list (images.json)."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Generator

from nas.data.splits.file_list import FileList
from nas.data.splits.folder_index import FolderIndex
from nas.utils.atomic_write import write_atomically
from nas.utils.errors import NasError
from nas.utils.seeds import derive_seed
from nas.utils.user_path import user_path

IMAGES = FileList(
    format="nas-images",
    title="list of images",
    option="dataset.test_list",
    fix="Set the images.json of a run on these images, or leave it out.",
)
log = logging.getLogger(__name__)

Parts = tuple[FolderIndex, FolderIndex]
"""Training and test images."""


@dataclass(frozen=True)
class FlatSplit:
    """Division of class folders into training and test images.

    Args:
        fraction: fraction of each class to test.
        seed: seed of the sample of test images.
        files: file list with the images of both parts, instead of a random sample.
        record: path for the file list; an existing list is used again.
    """

    fraction: float = 0.2
    seed: int = 0
    files: str | Path | None = None
    record: str | Path | None = None

    def divide(self, index: FolderIndex, writes: bool) -> Parts:
        """Return the training and test images, and write their file list if this process ``writes``.

        Raises:
            NasError: if the list cannot be read, or a class has too few images.
        """
        given, record = self.files, None if self.record is None else Path(self.record)
        if given is None and record is not None and record.exists():
            given = record
        parts = split_flat(index, self.fraction, self.seed) if given is None else read_split(user_path(given), index)
        if record is not None and given != record and writes:
            record.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(record, split_to_json(parts))
        return parts


def split_flat(index: FolderIndex, fraction: float, seed: int) -> Parts:
    """Sample a fraction of the images of each class for the test.

    The test images of a class depend only on ``seed``, its name and its number of images. Their number is rounded to
    the nearest, but at least one image is tested and one remains.

    Raises:
        NasError: if the fraction is not between 0 and 1, or a class has a single image.
    """
    if not 0 < fraction < 1:
        raise NasError(f"dataset.test_fraction={fraction}: out of range. Set a fraction between 0 and 1, such as 0.2.")
    counts = torch.bincount(index.labels, minlength=len(index.classes)).tolist()
    tested = torch.zeros(len(index.files), dtype=torch.bool)
    first = 0
    for name, count in zip(index.classes, counts, strict=True):
        if count < 2:
            raise NasError(
                f"{(index.root / name).absolute()}: has a single image, but a class needs one to train and one to "
                "test. Add images, or leave the class out of a dataset.class_list."
            )
        size = min(max(1, round(fraction * count)), count - 1)
        order = torch.randperm(count, generator=Generator().manual_seed(derive_seed(seed, "test", name)))
        tested[order[:size] + first] = True
        first += count
    return _select(index, ~tested), _select(index, tested)


def split_to_json(parts: Parts) -> str:
    """Return the file list: JSON with the names CLASS/FILE of the training and test images."""
    lists = {key: list(part.files) for key, part in zip(("train", "test"), parts, strict=True)}
    return IMAGES.to_json(lists)


def read_split(path: Path, index: FolderIndex) -> Parts:
    """Return the training and test images that a file list names; images that it does not name are not used.

    Raises:
        NasError: if the file cannot be read, names missing images, or leaves a class without images.
    """
    option, fix = f"dataset.test_list={path}", IMAGES.fix
    masks = [_mask(part, len(index.files)) for part in IMAGES.read(path, ("train", "test"), index)]
    both = (masks[0] & masks[1]).nonzero().flatten().tolist()
    if both:
        raise NasError(f"{option}: lists {index.files[both[0]]} for both training and test. {fix}")
    parts = (_select(index, masks[0]), _select(index, masks[1]))
    for key, part in zip(("train", "test"), parts, strict=True):
        missing = sorted(set(range(len(index.classes))) - set(part.labels.tolist()))
        if missing:
            raise NasError(f"{option}: lists no images of class '{index.classes[missing[0]]}' under '{key}'. {fix}")
    unlisted = len(index.files) - sum(len(part.files) for part in parts)
    if unlisted:
        log.info("images         %d images in %s are not in %s, and are not used", unlisted, index.root, path)
    return parts


def _mask(numbers: list[int], count: int) -> torch.Tensor:
    """Return a mask [count] that is True at the given numbers."""
    mask = torch.zeros(count, dtype=torch.bool)
    mask[numbers] = True
    return mask


def _select(index: FolderIndex, mask: torch.Tensor) -> FolderIndex:
    """Return the images of an index where ``mask`` [images] is True."""
    files = tuple(file for file, selected in zip(index.files, mask.tolist(), strict=True) if selected)
    return FolderIndex(index.root, index.classes, files, index.labels[mask])
