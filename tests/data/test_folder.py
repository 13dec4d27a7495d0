"""nas.data.folder: shape and classes of a folder of images, its parts, and invalid folders."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from nas.data.folder import Folder
from nas.utils.errors import NasError
from tests.support.data_tools import labels
from tests.support.folder_tools import image_folder, small_folder, write_image


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return image_folder(tmp_path_factory.mktemp("images"))


def test_folder_infers_shape_and_classes(tmp_path: Path) -> None:
    image_folder(tmp_path / "gray", 2, 1, mode="L", suffix="png")
    gray, color = Folder(tmp_path / "gray"), Folder(image_folder(tmp_path / "color", 2, 1, ["a", "b"]))
    assert (gray.shape, gray.classes) == ((1, 14, 14), 3) and (color.shape, color.classes) == ((3, 14, 14), 2)
    assert gray.mean == (0.449,) and color.std == (0.229, 0.224, 0.225)


def test_folder_decides_the_shape_from_all_images(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One color image among grayscale images, and different sizes: color, resized to the median of the sides."""
    image_folder(tmp_path, 3, 1, ("a", "b"), mode="L", suffix="png")
    write_image(tmp_path / "train" / "b" / "z.PNG", 1, 3, (60, 40))
    data = Folder(tmp_path, batch_size=2, num_workers=0, bilevel=False)
    with caplog.at_level(logging.INFO):
        data.setup()
        data.setup()
    assert data.shape == (3, 14, 14)
    assert [record.message.split(None, 1)[1] for record in caplog.records] == [
        "folder: 2 classes, images of 3 x 14 x 14 (7 train, 2 test); files of 20x14 to 60x40 pixels (width x height), "
        "resized, 6 grayscale and 1 color files"
    ]
    (x, _), *_ = [batch for batch in data.train_dataloader()]
    assert x.shape == (2, 3, 14, 14)


def test_folder_names_the_test_folder_that_it_does_not_use(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    image_folder(tmp_path, 2, 1)
    image_folder(tmp_path / "more", 1, 3)
    (tmp_path / "more" / "val").rename(tmp_path / "test")
    with caplog.at_level(logging.INFO):
        assert small_folder(tmp_path, bilevel=False).sizes() == {"train": 6, "test": 3}
        assert small_folder(tmp_path, bilevel=False, test_folder="test").sizes() == {"train": 6, "test": 9}
    assert "tested on val/, not on test/" in caplog.text and "tested on test/, not on val/" in caplog.text
    with pytest.raises(NasError, match="dataset.test_list=x: .* has a folder of test images"):
        small_folder(tmp_path, test_list="x")


def test_folder_rejects_invalid_folders_and_options(tmp_path: Path) -> None:
    def error_of(**options) -> str:
        with pytest.raises(NasError) as caught:
            small_folder(tmp_path, **options).setup()
        assert "\n" not in str(caught.value)
        return str(caught.value)

    with pytest.raises(NasError, match="dataset.root=null: missing"):
        Folder(None)
    assert f"{tmp_path}/train: no such folder" in error_of(classes=3)
    (tmp_path / "train").mkdir()
    assert "has no class folders" in error_of(classes=3)
    image_folder(tmp_path, 4, 1)
    assert "dataset.classes=5" in error_of(classes=5)
    (tmp_path / "val" / "dog").mkdir()
    assert f"{tmp_path}/val/dog: has no images" in error_of()
    write_image(tmp_path / "val" / "dog" / "a.jpg", 0, 0)
    assert "class 'dog' is in val/ but not in train/" in error_of()
    for name in ("eel", "fly"):
        write_image(tmp_path / "train" / name / "a.jpg", 0, 0)
    assert "class 'eel' and 1 more is in train/ but not in val/" in error_of()
    assert "image_size=4" in error_of(image_size=4)
    assert "dataset.pad=4" in error_of(pad=4)


def test_folder_loads_both_parts_in_a_search(root: Path) -> None:
    data = small_folder(root, subset_fractions=(0.5, 0.25))
    batches = [batch for batch, _, _ in data.train_dataloader()]
    assert len(batches) == 6 and {*batches[0]} == {"train", "val"}
    assert len(labels(data.val_dataloader())) == 12
    with pytest.raises(NasError, match="batch_size=13: larger than the val part of folder .*Set at most 12"):
        small_folder(root, subset_fractions=(0.5, 0.25), batch_size=13).train_dataloader()
