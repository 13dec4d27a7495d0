"""nas.data.imagenet16: classes, splits and checks, with files in the official format."""

from __future__ import annotations

import hashlib
import json
import logging
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from nas.data.imagenet16 import MD5, TRAIN_FILES, ImageNet16
from nas.data.splits.nas_bench_201 import split_test_images
from nas.utils.errors import NasError
from tests.support.data_tools import labels
from tests.support.golden_tools import shared_folder

SPLITS = shared_folder() / "data" / "splits" / "imagenet-16-120-test-split.txt"


def file_content(number: int, size: int, protocol: int = 4) -> bytes:
    """Return a file of images that start with the file number and their position; half of the labels exceed 120."""
    data = np.random.default_rng(number).integers(0, 256, (size, 768)).astype(np.uint8)
    data[:, 0], data[:, 1] = number, np.arange(size) % 256
    found = [1 + (7 * i + number) % 240 for i in range(size)]
    return pickle.dumps({"data": data, "labels": found, "mean": np.zeros(768)}, protocol)


def write_files(folder: Path, train: int = 48, val: int = 40) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(TRAIN_FILES, 1):
        (folder / name).write_bytes(file_content(number, train, protocol=2 + number % 3))
    (folder / "val_data").write_bytes(file_content(11, val))
    return folder


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_files(folder / "ImageNet16")
    return folder


def small_imagenet16(root: Path, **options) -> ImageNet16:
    return ImageNet16(root, **{"md5": "skip", "download": False, "batch_size": 4, **options})


def kept_images(number: int, size: int) -> tuple[list[int], list[int]]:
    """Return positions and labels from 0 of the images that are kept of a file."""
    every = [1 + (7 * i + number) % 240 for i in range(size)]
    return [i for i, label in enumerate(every) if label <= 120], [label - 1 for label in every if label <= 120]


def test_imagenet16_keeps_the_first_120_classes(root: Path) -> None:
    splits = small_imagenet16(root, bilevel=False, split="halves").splits
    want = [kept_images(number, 48) for number in range(1, 11)]
    assert splits.train_labels.tolist() == [label for _, found in want for label in found]
    assert splits.train_images[:, 0, 0, 1].tolist() == [place for places, _ in want for place in places]
    assert splits.train_images[:, 0, 0, 0].unique().tolist() == list(range(1, 11))
    assert splits.test_labels.tolist() == kept_images(11, 40)[1] and splits.train_images.shape[1:] == (3, 16, 16)
    stored = pickle.loads((root / "ImageNet16" / "val_data").read_bytes())
    first = stored["data"][kept_images(11, 40)[0][0]].reshape(3, 16, 16)
    assert torch.equal(splits.test_images[0], torch.from_numpy(first)), "rows store channels, then image rows"


def test_imagenet16_halves_the_test_images_by_default(root: Path) -> None:
    data = small_imagenet16(root)
    total, tested = sum(len(kept_images(n, 48)[1]) for n in range(1, 11)), kept_images(11, 40)[1]
    half = len(tested) // 2
    assert data.sizes() == {"train": total, "val": half, "test": len(tested) - half}
    assert labels(data.val_dataloader()) == tested[:half] and labels(data.test_dataloader()) == tested[half:]
    batch = next(iter(data.train_dataloader()))[0]
    assert set(batch) == {"train", "val"} and batch["val"][0].shape == (4, 3, 16, 16)
    single = small_imagenet16(root, bilevel=False)
    assert single.sizes() == {"train": total, "test": len(tested) - half}


def test_imagenet16_splits_the_training_images_by_fraction(root: Path) -> None:
    total = sum(len(kept_images(n, 48)[1]) for n in range(1, 11))
    assert small_imagenet16(root, split=0.5).sizes() == {
        "train": total // 2,
        "val": total - total // 2,
        "test": len(kept_images(11, 40)[1]),
    }


@pytest.mark.parametrize("published", [True, False])
def test_imagenet16_reads_a_test_split_file(published: bool, root: Path, tmp_path: Path) -> None:
    size = len(kept_images(11, 40)[1])
    parts = {"xvalid": list(range(1, size, 2)), "xtest": list(range(0, size, 2))}
    if published:
        parts = {key: ["int", [str(i) for i in part]] for key, part in parts.items()}
    (tmp_path / "split.txt").write_text(json.dumps(parts))
    data = small_imagenet16(root, test_split=tmp_path / "split.txt")
    tested = kept_images(11, 40)[1]
    assert labels(data.val_dataloader()) == tested[1::2] and labels(data.test_dataloader()) == tested[::2]


@pytest.mark.data
@pytest.mark.skipif(not SPLITS.exists(), reason="the official split files are not beside the repository")
def test_imagenet16_official_test_split(root: Path) -> None:
    xvalid, xtest = split_test_images(SPLITS, 6000, "it")
    assert xvalid[:4].tolist() == [1, 2, 3, 6] and xvalid.sum() == 9_093_224 and len(xvalid) == len(xtest) == 3000
    with pytest.raises(NasError, match="each of the 23 test images once. Set the path of imagenet-16-120"):
        small_imagenet16(root, test_split=SPLITS).setup()


def test_imagenet16_normalization_is_that_of_the_benchmark() -> None:
    data = ImageNet16("there")
    assert [255 * m for m in data.mean] == pytest.approx([122.68, 116.66, 104.01], abs=1e-4)
    assert [255 * s for s in data.std] == pytest.approx([63.22, 61.26, 65.09], abs=1e-4)
    assert (data.shape, data.classes, data.pad, data.flip) == ((3, 16, 16), 120, 2, True)
    assert MD5["train_data_batch_1"].startswith("27846dca") and MD5["val_data"].startswith("3410e301")


def test_imagenet16_checks_md5_sums(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(NasError, match=r"train_data_batch_1: md5 is .* or set dataset.md5=warn"):
        small_imagenet16(root, md5="stop").setup()
    with caplog.at_level(logging.WARNING):
        small_imagenet16(root, md5="warn").setup()
    assert len(caplog.records) == 11 and "will not be comparable" in caplog.text

    class Ours(ImageNet16):
        sums = {name: hashlib.md5((root / "ImageNet16" / name).read_bytes()).hexdigest() for name in MD5}

    Ours(root, md5="stop").setup()


def test_imagenet16_rejects_invalid_files_and_options(tmp_path: Path) -> None:
    def error_of(**options) -> str:
        with pytest.raises(NasError) as caught:
            small_imagenet16(tmp_path, **options).setup()
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "train_data_batch_1 is missing" in error_of() and "image-net.org" in error_of()
    assert "dataset.test_split=x: has no effect" in error_of(split="halves", test_split="x")
    assert "ImageNet16: md5=no: unknown" in error_of(md5="no")
    write_files(tmp_path)  # without the folder ImageNet16
    assert small_imagenet16(tmp_path).sizes()["train"] > 200
    assert "nowhere: file not found" in error_of(test_split=tmp_path / "nowhere")
    (tmp_path / "split.txt").write_text("{}")
    assert "not a split file" in error_of(test_split=tmp_path / "split.txt")
    (tmp_path / "val_data").write_bytes(pickle.dumps(print))
    assert "not a pickle of arrays" in error_of() and "builtins" in error_of()
    (tmp_path / "val_data").write_bytes(pickle.dumps({"data": np.zeros((2, 768), np.uint8), "labels": [0, 1]}))
    assert "labels do not start at 1" in error_of()
    (tmp_path / "val_data").write_bytes(pickle.dumps({"data": np.zeros((2, 3072), np.uint8), "labels": [1, 2]}))
    assert "not a file of the downsampled ImageNet with 16 x 16 pixels" in error_of()
    (tmp_path / "val_data").write_bytes(b"cut")
    assert "not a pickle of arrays" in error_of()
