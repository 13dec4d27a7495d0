"""Tests of the layouts of a folder of images, and of what is ignored in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nas.data.splits.folder_index import class_folders, images_in
from nas.data.splits.folder_layout import find_layout
from nas.utils.errors import NasError


def folders(root: Path, *names: str) -> Path:
    for name in names:
        (root / name / "cat").mkdir(parents=True)
    return root


@pytest.mark.parametrize(
    ("names", "test", "unused"),
    [
        (("train", "val"), "val", ()),
        (("train", "test"), "test", ()),
        (("train", "valid"), "valid", ()),
        (("train", "validation", "test"), "test", ("validation",)),
        (("train", "val", "test"), "val", ("test",)),
        (("train",), "val", ()),
    ],
)
def test_find_layout_with_training_images(
    names: tuple[str, ...], test: str, unused: tuple[str, ...], tmp_path: Path
) -> None:
    layout = find_layout(folders(tmp_path, *names))
    assert (layout.train, layout.test, layout.unused) == (tmp_path / "train", tmp_path / test, unused)


def test_find_layout_takes_the_given_test_folder(tmp_path: Path) -> None:
    folders(tmp_path, "train", "val", "test")
    assert find_layout(tmp_path, "test").unused == ("val",)
    with pytest.raises(NasError, match="dataset.test_folder=other: there is no folder"):
        find_layout(tmp_path, "other")


def test_find_layout_of_class_folders(tmp_path: Path) -> None:
    folders(tmp_path, "a", "b", "__MACOSX", ".cache")
    assert (find_layout(tmp_path).train, find_layout(tmp_path).test) == (tmp_path, None)
    with pytest.raises(NasError, match="dataset.test_folder=val: .*has class folders alone"):
        find_layout(tmp_path, "val")
    for name in ("Train", "TEST", "valid"):
        (tmp_path / name).mkdir()
        with pytest.raises(NasError, match=f"train: no such folder, but {name}/ exists"):
            find_layout(tmp_path)
        (tmp_path / name).rmdir()
    for empty in (tmp_path / "none", folders(tmp_path / "e", ".hidden")):
        with pytest.raises(NasError, match="train: no such folder. Put the images"):
            find_layout(empty)


def test_images_in_reads_subfolders_and_skips_what_is_no_image(tmp_path: Path) -> None:
    kept = ["B.JPG", "a.png", "deep/er/c.Jpeg", "deep/a.png"]
    ignored = [".DS_Store", "Thumbs.db", "._a.png", "notes.txt", ".git/a.png", "__MACOSX/a.png", "@eaDir/a.png"]
    for name in kept + ignored:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "deep" / "loop").symlink_to(tmp_path)
    (tmp_path / "dangling.png").symlink_to(tmp_path / "missing.png")
    (tmp_path / "link.png").symlink_to(tmp_path / "a.png")
    assert images_in(tmp_path) == sorted([*kept, "link.png"])
    assert class_folders(tmp_path) == ("deep", "folder.png")
