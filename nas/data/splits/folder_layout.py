"""Layout of a folder of images: with separate training and test images, or class folders alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nas.data.splits.folder_index import class_folders
from nas.utils.errors import NasError

TRAIN = "train"
TEST_FOLDERS = ("val", "test", "valid", "validation")
"""Names of the folder of test images; the first existing one is used."""
_RESERVED = {*TEST_FOLDERS, "train", "training", "trainset", "testing", "testset", "valset"}


@dataclass(frozen=True)
class FolderLayout:
    """Folders of the class folders.

    Attributes:
        train: folder of the training images.
        test: folder of the test images; None if ``train`` holds all images and is to be divided.
        unused: names of further folders of test images, which are not used.
    """

    train: Path
    test: Path | None
    unused: tuple[str, ...] = ()


def find_layout(root: Path, test_folder: str | None = None) -> FolderLayout:
    """Return the layout of ``root``: ``train/CLASS/*`` with a folder of test images, or ``CLASS/*``.

    Args:
        root: folder of the data set.
        test_folder: name of the folder of test images; None: the first existing one of ``TEST_FOLDERS``.

    Raises:
        NasError: if a folder is missing, or ``root`` has neither layout.
    """
    if (root / TRAIN).is_dir():
        present = [name for name in TEST_FOLDERS if (root / name).is_dir()]
        chosen = test_folder or (present[0] if present else "val")
        if test_folder is not None and not (root / chosen).is_dir():
            raise NasError(f"dataset.test_folder={test_folder}: there is no folder {(root / chosen).absolute()}.")
        return FolderLayout(root / TRAIN, root / chosen, tuple(name for name in present if name != chosen))
    names = _folders_in(root)
    parts = [name for name in names if name.casefold() in _RESERVED]
    if parts or not names:
        hint = f", but {parts[0]}/ exists" if parts else ""
        raise NasError(
            f"{(root / TRAIN).absolute()}: no such folder{hint}. Put the images of each class into a folder of their "
            "own, train/CLASS/ and val/CLASS/ or CLASS/ alone, below dataset.root."
        )
    if test_folder is not None:
        raise NasError(f"dataset.test_folder={test_folder}: {root.absolute()} has class folders alone. Leave it out.")
    return FolderLayout(root, None)


def _folders_in(root: Path) -> tuple[str, ...]:
    try:
        return class_folders(root)
    except NasError:
        return ()
