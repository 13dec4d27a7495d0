"""nas.data.cifar: content of CIFAR-10 and CIFAR-100, from small archives and the official files."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from nas.data.cifar import Cifar10, Cifar100
from nas.data.pipeline.archive import Archive
from nas.utils.errors import NasError
from tests.support.cifar_tools import FOLDER, CifarSite, list_files, md5_of
from tests.support.golden_tools import shared_folder

UNPACK = shared_folder() / "tools" / "unpack_data.py"


@pytest.fixture
def site(tmp_path: Path) -> CifarSite:
    return CifarSite(tmp_path / "site")


def test_cifar10_downloads_unpacks_and_reads(site: CifarSite, tmp_path: Path) -> None:
    root = tmp_path / "new" / "data"
    data = site.data(root)
    data.prepare_data()
    expected = {f"{FOLDER}/{name}" for name in site.files} | {"cifar-10-python.tar.gz"}
    assert list_files(root) == expected
    data.setup()
    assert data.sizes() == {"train": 10, "val": 10, "test": 4}
    assert data.splits.train_labels[::4].tolist() == [0, 1, 2, 3, 4] and data.splits.test_labels[0] == 5
    first = pickle.loads(site.files["data_batch_1"])[b"data"][0]
    assert data.splits.train_images[0].flatten().tolist() == first.tolist()
    assert data.class_names == ("airplane", "automobile")


def test_cifar10_rejects_a_split_of_test_images() -> None:
    with pytest.raises(NasError, match=r"dataset.test_split=halves: has no effect .*split=nas_bench_201. Leave out"):
        Cifar10("nowhere", split="nas_bench_201", test_split="halves")


def test_cifar100_uses_fine_labels(tmp_path: Path) -> None:
    data = np.arange(2 * 3072, dtype=np.uint32).astype(np.uint8).reshape(2, 3072)
    files = {
        "train": pickle.dumps({b"data": data, b"fine_labels": [99, 7], b"coarse_labels": [1, 2]}, 4),
        "test": pickle.dumps({b"data": data, b"fine_labels": [5, 6], b"coarse_labels": [1, 2]}, 4),
        "meta": pickle.dumps({b"fine_label_names": [b"apple"], b"coarse_label_names": [b"fruit"]}, 4),
    }
    sums = {name: md5_of(content) for name, content in files.items()}

    class Small(Cifar100):
        archive = Archive("file:///nowhere/cifar-100-python.tar.gz", "none", "cifar-100-python", sums)

    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    small = Small(str(tmp_path))
    small.prepare_data()
    assert small.splits.train_labels.tolist() == [99, 7] and small.splits.test_labels.tolist() == [5, 6]
    assert small.class_names == ("apple",) and (small.name, small.classes) == ("cifar100", 100)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not UNPACK.exists():
        pytest.skip("the data is not beside the repository")
    root = tmp_path_factory.mktemp("cifar")
    done = subprocess.run([sys.executable, str(UNPACK), str(root), "cifar10"], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"the data could not be unpacked: {done.stderr.strip().splitlines()[-1]}")
    return root


@pytest.mark.data
def test_cifar10_official_content(real: Path) -> None:
    data = Cifar10(real, download=False)
    data.prepare_data()
    data.setup("fit")
    splits = data.splits
    assert splits.train_images.shape == (50_000, 3, 32, 32) and splits.test_images.shape == (10_000, 3, 32, 32)
    assert splits.train_labels[:10].tolist() == [6, 9, 9, 4, 1, 1, 2, 7, 8, 3]
    assert splits.test_labels[:10].tolist() == [3, 8, 8, 0, 6, 6, 1, 6, 3, 1]
    assert splits.train_labels.bincount().tolist() == [5000] * 10
    assert data.class_names[6] == "frog" and len(data.class_names) == 10
    scaled = splits.train_images.float().div_(255)
    assert torch.allclose(scaled.mean((0, 2, 3)), torch.tensor(data.mean), atol=1e-5)
    assert torch.allclose(scaled.std((0, 2, 3)), torch.tensor(data.std), atol=1e-4)
    assert data.sizes() == {"train": 25_000, "val": 25_000, "test": 10_000}


@pytest.mark.data
def test_cifar10_detects_one_flipped_byte(real: Path, tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    for path in (real / FOLDER).iterdir():
        (tmp_path / FOLDER / path.name).symlink_to(path)
    content = bytearray((real / FOLDER / "test_batch").read_bytes())
    content[-1000] ^= 1
    (tmp_path / FOLDER / "test_batch").unlink()
    (tmp_path / FOLDER / "test_batch").write_bytes(content)
    with pytest.raises(NasError, match="test_batch: damaged .* expected 40351d587109b95175f43aff81a1287e"):
        Cifar10(tmp_path).setup()
