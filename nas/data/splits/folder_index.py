"""Index of the images in a folder of class folders."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from nas.utils.distributed import on_first_rank
from nas.utils.errors import NasError

SUFFIXES = (".jpeg", ".jpg", ".png", ".bmp", ".webp", ".ppm", ".pgm", ".tif", ".tiff", ".gif")
IGNORED = ("__MACOSX", "@eaDir", "lost+found", "$RECYCLE.BIN", "System Volume Information", "__pycache__")
"""Folders that operating systems create; they are no classes."""
_FIX = "Put the images of each class into one folder per class, train/CLASS/ and val/CLASS/"


@dataclass(frozen=True)
class FolderIndex:
    """Images under ``root``: ``files`` as sorted CLASS/NAME, and ``labels`` (int64), indices into ``classes``."""

    root: Path
    classes: tuple[str, ...]
    files: tuple[str, ...]
    labels: Tensor


def class_folders(root: Path) -> tuple[str, ...]:
    """Return the sorted names of the folders in ``root``, without hidden ones and ``IGNORED``.

    Raises:
        NasError: if there are none.
    """
    try:
        with os.scandir(root) as entries:
            folders = sorted(entry.name for entry in entries if _is_folder(entry))
    except NotADirectoryError:
        raise NasError(f"{root.absolute()}: not a folder. {_FIX}.") from None
    except FileNotFoundError:
        raise NasError(f"{root.absolute()}: no such folder. {_FIX} below dataset.root.") from None
    if not folders:
        raise NasError(f"{root.absolute()}: has no class folders. {_FIX}.")
    return tuple(folders)


def images_in(folder: Path) -> list[str]:
    """Return the sorted paths of the image files in a folder and its subfolders, relative to it.

    Hidden files and folders, special files such as named pipes, and links to nothing or to themselves are ignored.
    """
    return sorted(_walk(str(folder), "", set()))


def _walk(folder: str, prefix: str, visited: set[str]) -> list[str]:
    place = os.path.realpath(folder)
    if place in visited:  # a link to a folder above
        return []
    visited.add(place)
    files: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if _is_folder(entry):
                files += _walk(entry.path, f"{prefix}{entry.name}/", visited)
            elif entry.name.lower().endswith(SUFFIXES) and not entry.name.startswith(".") and _is(entry.is_file):
                files.append(prefix + entry.name)
    return files


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return not entry.name.startswith(".") and entry.name not in IGNORED and _is(entry.is_dir)


def _is(kind: Callable[[], bool]) -> bool:
    """Return the answer of ``os.DirEntry``, False for a link that cannot be followed, such as one to itself."""
    try:
        return kind()
    except OSError:
        return False


def index_folder(root: Path, selected: Sequence[str] | None = None) -> FolderIndex:
    """Index all images in the class folders of ``root``.

    Args:
        root: folder of the class folders.
        selected: names of the class folders to index, in the order of their labels; None: all, sorted.

    Raises:
        NasError: if a folder is missing, or a class has no images.
    """
    classes = class_folders(root)
    if selected is not None:
        missing = [name for name in selected if name not in classes]
        if missing:
            raise NasError(
                f"{(root / missing[0]).absolute()}: no such folder, but dataset.class_list names this class."
            )
        classes = tuple(selected)
    files: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        images = images_in(root / name)
        if not images:
            raise NasError(
                f"{(root / name).absolute()}: has no images ({', '.join(SUFFIXES)}). "
                "Remove the folder, fill it, or leave it out of a dataset.class_list."
            )
        files += [f"{name}/{file}" for file in images]
        labels += [label] * len(images)
    return FolderIndex(root, classes, tuple(files), torch.tensor(labels, dtype=torch.int64))


def shared_index(root: Path, selected: Sequence[str] | None = None) -> FolderIndex:
    """Index a folder on the first rank of a distributed run, and return the index on all ranks; see ``index_folder``.

    The ranks need the same files, but not the same ``root``.
    """
    return replace(on_first_rank(lambda: index_folder(root, selected)), root=root)


def check_classes(train: Sequence[str], test: Sequence[str], root: Path, folder: str = "val") -> None:
    """Raise NasError if training and test images (in ``folder``) have different classes."""
    for here, there, classes, others in (("train", folder, train, test), (folder, "train", test, train)):
        surplus = sorted(set(classes) - set(others))
        if surplus:
            more = f" and {len(surplus) - 1} more" if len(surplus) > 1 else ""
            raise NasError(
                f"{root.absolute()}: class '{surplus[0]}'{more} is in {here}/ but not in {there}/. "
                "Add the missing folders, or list the classes to use in a dataset.class_list."
            )
