"""Which images a folder of class folders holds."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from nas.utils.errors import NasError

SUFFIXES = (".jpeg", ".jpg", ".png", ".bmp", ".webp", ".ppm", ".pgm", ".tif", ".tiff", ".gif")
_LAYOUT = "the images of each class belong into a folder of their own, train/CLASS/ and val/CLASS/"


@dataclass(frozen=True)
class FolderIndex:
    """The images under ``root``: ``files`` as CLASS/NAME, sorted, and ``labels`` (int64), the place of the class."""

    root: Path
    classes: tuple[str, ...]
    files: tuple[str, ...]
    labels: Tensor


def class_folders(root: Path) -> tuple[str, ...]:
    """The names of the folders in ``root``, sorted; hidden ones do not count. Raises NasError where there is none."""
    try:
        with os.scandir(root) as entries:
            found = sorted(e.name for e in entries if not e.name.startswith(".") and e.is_dir())
    except NotADirectoryError:
        raise NasError(f"{root.absolute()} is not a folder: {_LAYOUT}") from None
    except FileNotFoundError:
        raise NasError(
            f"there is no folder {root.absolute()}: {_LAYOUT}; dataset.root names the folder above"
        ) from None
    if not found:
        raise NasError(f"{root.absolute()} has no class folders: {_LAYOUT}")
    return tuple(found)


def images_in(folder: Path) -> list[str]:
    """The names of the image files directly in a folder, sorted; hidden ones do not count."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.name.lower().endswith(SUFFIXES)]
    return sorted(name for name in names if not name.startswith("."))


def index_folder(root: Path, listed: Sequence[str] | None = None) -> FolderIndex:
    """Everything in the class folders of ``root``: in all of them, or in those ``listed``, whose order labels follow.

    Raises NasError for a missing folder or a class without images.
    """
    classes = class_folders(root)
    if listed is not None:
        absent = [name for name in listed if name not in classes]
        if absent:
            raise NasError(f"there is no folder {(root / absent[0]).absolute()} of the listed class '{absent[0]}'")
        classes = tuple(listed)
    files: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        found = images_in(root / name)
        if not found:
            raise NasError(
                f"class folder {(root / name).absolute()} holds no images ({', '.join(SUFFIXES)}): remove it or "
                "fill it, or leave it out of a dataset.class_list"
            )
        files += [f"{name}/{file}" for file in found]
        labels += [label] * len(found)
    return FolderIndex(root, classes, tuple(files), torch.tensor(labels, dtype=torch.int64))


def check_classes(train: Sequence[str], val: Sequence[str], root: Path) -> None:
    """Raises NasError where training and test images are not of the same classes."""
    for here, there, one, other in (("train", "val", train, val), ("val", "train", val, train)):
        alone = sorted(set(one) - set(other))
        if alone:
            more = f" and {len(alone) - 1} more" if len(alone) > 1 else ""
            raise NasError(
                f"{root.absolute()}: class '{alone[0]}'{more} is in {here}/ and not in {there}/: give both the same, "
                "or those to use as dataset.class_list"
            )
