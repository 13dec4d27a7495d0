"""nas.data.svhn: content, additional images, download and checks, with small files in the official format."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from nas.data.svhn import Svhn
from nas.utils.errors import NasError
from nas.utils.remote_file import RemoteFile
from tests.support.error_tools import run
from tests.support.http_tools import serve


def file_content(number: int, size: int) -> bytes:
    """Return a file whose images start with the file number and their position; labels are 1 to 10."""
    pixels = np.random.default_rng(number).integers(0, 256, (32, 32, 3, size)).astype(np.uint8)
    pixels[0, 0, 0], pixels[0, 1, 2] = number, np.arange(size)
    stream = io.BytesIO()
    savemat(stream, {"X": pixels, "y": (np.arange(size) % 10 + 1).astype(np.uint8)[:, None]}, do_compression=True)
    return stream.getvalue()


CONTENTS = {"train": file_content(1, 30), "extra": file_content(2, 10), "test": file_content(3, 20)}


def remote(part: str, address: str) -> RemoteFile:
    name = f"svhn/{part}_32x32.mat"
    return RemoteFile(name, (f"{address}/{name}",), hashlib.md5(CONTENTS[part]).hexdigest())


def use_small_files(monkeypatch: pytest.MonkeyPatch, address: str = "http://127.0.0.1:9") -> None:
    for part in CONTENTS:
        monkeypatch.setattr(Svhn, f"{part}_file", remote(part, address))


def write_files(folder: Path, *parts: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for part in parts:
        (folder / f"{part}_32x32.mat").write_bytes(CONTENTS[part])


def small(root: Path, **options: Any) -> Svhn:
    return Svhn(root, batch_size=2, **options)


def test_svhn_reads_images_and_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_small_files(monkeypatch)
    write_files(tmp_path / "svhn", "train", "test", "extra")
    data = small(tmp_path, download=False)
    data.prepare_data()
    splits = data.splits
    assert splits.train_labels[:11].tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1], "the label 10 is the digit 0"
    assert splits.train_images.shape == (30, 3, 32, 32) and splits.test_images.shape == (20, 3, 32, 32)
    assert splits.train_images[:, 0, 0, 0].unique().tolist() == [1]
    assert splits.test_images[:, 2, 0, 1].tolist() == list(range(20)), "rows, columns, channels, images"
    assert data.sizes() == {"train": 15, "val": 15, "test": 20} and data.class_names[0] == "0"
    more = small(tmp_path, extra=True, bilevel=False)
    assert more.sizes() == {"train": 40, "test": 20}
    assert more.splits.train_images[29:31, 0, 0, 0].tolist() == [1, 2]


def test_svhn_downloads_missing_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_files(tmp_path, "train")  # beside, not in the folder svhn
    with serve(**{"svhn/test_32x32.mat": CONTENTS["test"]}) as site:
        use_small_files(monkeypatch, site.address)
        data = small(tmp_path)
        data.prepare_data()
        assert [name for name, _ in site.requests] == ["svhn/test_32x32.mat"]
    assert data.sizes()["test"] == 20


def test_svhn_rejects_missing_and_damaged_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_small_files(monkeypatch)
    with pytest.raises(NasError, match=r"train_32x32.mat: missing, and dataset.download=false. Run python -m nas data"):
        small(tmp_path, download=False).prepare_data()
    with pytest.raises(NasError, match=r"svhn/train_32x32.mat: the download failed .*Connection refused"):
        small(tmp_path).prepare_data()
    with pytest.raises(NasError, match=r"missing, and prepare_data\(\) was not called"):
        small(tmp_path).setup()
    write_files(tmp_path / "svhn", "train", "test")
    changed = bytearray(CONTENTS["test"])
    changed[300] ^= 1
    (tmp_path / "svhn" / "test_32x32.mat").write_bytes(changed)
    with pytest.raises(NasError, match="test_32x32.mat: damaged .expected md5 .* Delete it"):
        small(tmp_path).setup()
    for wrong in (b"no file of MATLAB", CONTENTS["test"][:200]):
        (tmp_path / "svhn" / "test_32x32.mat").write_bytes(wrong)
        monkeypatch.setattr(Svhn, "test_file", RemoteFile("svhn/test_32x32.mat", (), hashlib.md5(wrong).hexdigest()))
        with pytest.raises(NasError, match="test_32x32.mat: not a file of SVHN") as caught:
            small(tmp_path).setup()
        assert "\n" not in str(caught.value)


def test_search_and_training_on_svhn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_small_files(monkeypatch)
    write_files(tmp_path / "data" / "svhn", "train", "test")
    small_search = ("space.channels=4", "space.cells_per_stage=1", "epochs=1", "dataset.batch_size=5", "threads=1")
    run(
        "search", "dataset=svhn", *small_search, f"paths.data={tmp_path}/data", f"hydra.run.dir={tmp_path}/s"
    ).succeeded()
    found = json.loads((tmp_path / "s" / "summary.json").read_text())
    assert found["dataset"] == "svhn" and found["val_accuracy"] is not None
    network = ("network.channels=4", "network.cells_per_stage=1", "epochs=1", "dataset.batch_size=5", "threads=1")
    run("train", f"genotype={tmp_path}/s", *network, f"hydra.run.dir={tmp_path}/t").succeeded()
    assert json.loads((tmp_path / "t" / "summary.json").read_text())["images"] == 20
