"""Random subsets of each class for the weights and for the architecture, and their list of files (subset.json)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import torch
from torch import Generator, Tensor

from nas.data.splits.file_list import FileList
from nas.data.splits.folder_index import FolderIndex
from nas.utils.atomic_write import write_atomically
from nas.utils.errors import NasError
from nas.utils.seeds import derive_seed
from nas.utils.user_path import user_path

SUBSET = FileList(
    format="nas-subset",
    title="file list of a subset",
    option="dataset.subset",
    fix="Set the subset.json of a search on these images, or leave it out.",
)


@dataclass(frozen=True)
class ClassSubset:
    """Selection of the training images for the weights and for the architecture.

    Args:
        fractions: fractions of each class for the weights and for the architecture.
        files: file list with the images of both parts, instead of a random sample.
        seed: seed of the sample.
        record: path for the file list.
    """

    fractions: Sequence[float] = (0.5, 0.5)
    files: str | Path | None = None
    seed: int = 0
    record: str | Path | None = None

    def select(self, index: FolderIndex, writes: bool) -> tuple[Tensor, Tensor]:
        """Return the indices of both parts, and write their file list if this process ``writes``.

        Raises:
            NasError: if the list cannot be read, a class has too few images, or the record of a run lists other images.
        """
        if self.files is None:
            parts = sample_subset(index, self.fractions, self.seed)
        else:
            parts = read_subset(user_path(self.files), index)
        if self.record is not None and writes:
            self._write(Path(self.record), subset_to_json(index, *parts), index)
        return parts

    def _write(self, path: Path, text: str, index: FolderIndex) -> None:
        if path.exists() and path.read_text() != text:
            raise NasError(
                f"{path}: lists other images than {index.root} provides now; the folder has changed "
                f"since the start of this run. Set dataset.subset={path} to keep the list."
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text)


def sample_subset(index: FolderIndex, fractions: Sequence[float], seed: int) -> tuple[Tensor, Tensor]:
    """Sample disjoint fractions of the images of each class, for the weights and for the architecture.

    PC-DARTS and DrNAS search on 10 % and 2.5 % of ImageNet, but published no list of images. The images of a class
    depend only on ``seed``, its name and its number of images. Fractions are rounded down, but to at least one image.

    Returns:
        Two ascending tensors of indices (int64).

    Raises:
        NasError: if the fractions are not two positive numbers of sum at most 1, or a class has too few images.
    """
    if len(fractions) != 2 or min(fractions) <= 0 or sum(map(_exact, fractions)) > 1:
        raise NasError(
            f"dataset.subset_fractions={list(fractions)}: not two positive numbers of sum at most 1. "
            "Set the fractions of each class for the weights and for the architecture, such as [0.1,0.025]."
        )
    parts: tuple[list[Tensor], list[Tensor]] = ([], [])
    counts = torch.bincount(index.labels, minlength=len(index.classes)).tolist()
    first = 0
    for name, count in zip(index.classes, counts, strict=True):
        sizes = [max(1, int(_exact(fraction) * count)) for fraction in fractions]
        if sum(sizes) > count:
            raise NasError(
                f"dataset.subset_fractions={list(fractions)}: class '{name}' has {count} image(s) in {index.root}, but "
                f"needs {sum(sizes)}. Add images, or leave the class out of a dataset.class_list."
            )
        order = torch.randperm(count, generator=Generator().manual_seed(derive_seed(seed, name))) + first
        for part, sampled in zip(parts, order[: sum(sizes)].split(sizes), strict=True):
            part.append(sampled.sort().values)
        first += count
    return torch.cat(parts[0]), torch.cat(parts[1])


def subset_to_json(index: FolderIndex, train: Tensor, val: Tensor) -> str:
    """Return the file list of a subset: JSON with the names CLASS/FILE for the weights and for the architecture."""
    lists = {key: [index.files[i] for i in part.tolist()] for key, part in (("train", train), ("valid", val))}
    return SUBSET.to_json(lists)


def read_subset(path: Path, index: FolderIndex) -> tuple[Tensor, Tensor]:
    """Return the indices of the images that a file list names, in its order.

    Raises:
        NasError: if the file cannot be read or does not fit the images.
    """
    keys = ("train", "valid")
    train, val = SUBSET.read(path, keys, index)
    for key, part in zip(keys, (train, val), strict=True):
        if len(set(part)) < len(part):
            raise NasError(f"dataset.subset={path}: lists a file twice under '{key}'. {SUBSET.fix}")
    both = sorted(set(train) & set(val))
    if both:
        file = index.files[both[0]]
        raise NasError(f"dataset.subset={path}: lists {file} for both the weights and the architecture. {SUBSET.fix}")
    return torch.tensor(train, dtype=torch.int64), torch.tensor(val, dtype=torch.int64)


def _exact(fraction: float) -> Fraction:
    """Return the decimal as written, so that 0.29 of 100 images are 29 and not 28."""
    return Fraction(str(fraction))
