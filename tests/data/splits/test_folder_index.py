"""nas.data.splits.folder_index: classes and files of a folder of class folders."""

from __future__ import annotations

from pathlib import Path

from nas.data.splits.folder_index import index_folder
from tests.support.folder_tools import CLASSES, image_folder


def test_index_folder_sorts_classes_and_files(tmp_path: Path) -> None:
    found = index_folder(image_folder(tmp_path) / "train")
    assert found.classes == CLASSES and list(found.files) == sorted(found.files)
    assert found.labels.tolist() == [CLASSES.index(file.split("/")[0]) for file in found.files]
    assert len(found.files) == 48


def test_index_folder_ignores_hidden_and_other_files(tmp_path: Path) -> None:
    image_folder(tmp_path, 2, 1)
    for name in (".hidden.jpg", "notes.txt"):
        (tmp_path / "train" / "ant" / name).write_text("x")
    (tmp_path / "train" / ".cache").mkdir()
    (tmp_path / "train" / "list.txt").write_text("x")
    assert len(index_folder(tmp_path / "train").files) == 6


def test_index_folder_ignores_links_that_cannot_be_followed(tmp_path: Path) -> None:
    image_folder(tmp_path, 2, 1)
    for link in ("train/ring", "train/ant/ring", "train/ant/ring.png"):
        (tmp_path / link).symlink_to(tmp_path / link)
    (tmp_path / "train" / "ant" / "missing.png").symlink_to(tmp_path / "nothing.png")
    assert len(index_folder(tmp_path / "train").files) == 6
