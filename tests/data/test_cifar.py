"""CIFAR: what is done about missing, damaged and hostile files, and the real thing where it is at hand."""

import hashlib
import io
import os
import pickle
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from nas.data.cifar import Cifar10, Cifar100
from nas.data.pipeline.archive import Archive
from nas.utils.errors import NasError
from tests.support.golden_tools import shared_folder

UNPACK = shared_folder() / "tools" / "unpack_data.py"
FOLDER = "cifar-10-batches-py"


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def batch(seed: int, protocol: int) -> bytes:
    """A file of four images, as the official ones are made."""
    rng = np.random.default_rng(seed)
    data = rng.integers(0, 256, (4, 3072)).astype(np.uint8)
    return pickle.dumps({b"data": data, b"labels": [seed, 1, 2, 3]}, protocol)


def contents(protocol: int = 4) -> dict[str, bytes]:
    files = {name: batch(i, protocol) for i, name in enumerate([*Cifar10.train_files, *Cifar10.test_files])}
    return files | {"batches.meta": pickle.dumps({b"label_names": [b"airplane", b"automobile"]}, 4)}


def tar(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as out:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            out.addfile(member, io.BytesIO(content))
    return stream.getvalue()


class Site:
    """A small CIFAR-10 with md5 sums of its own, published in a directory."""

    def __init__(self, directory: Path, files: dict[str, bytes] | None = None, packed: bytes | None = None) -> None:
        self.files = contents() if files is None else files
        # What an archive should not have is there too: it must not be written.
        surplus = {"../escaped": b"x", f"{FOLDER}/readme.html": b"x"}
        whole = tar({f"{FOLDER}/{name}": content for name, content in self.files.items()} | surplus)
        self.packed = whole if packed is None else packed
        self.path = directory / "cifar-10-python.tar.gz"
        directory.mkdir(exist_ok=True)
        self.path.write_bytes(self.packed)
        sums = {name: md5(content) for name, content in self.files.items()}
        self.archive = Archive(self.path.as_uri(), md5(self.packed), FOLDER, sums)

    def data(self, root: Path, **options) -> Cifar10:
        class Small(Cifar10):
            archive = self.archive

        return Small(root, batch_size=2, **options)


@pytest.fixture
def site(tmp_path) -> Site:
    return Site(tmp_path / "site")


def listing(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def unpacked(root: Path, files: dict[str, bytes]) -> Path:
    (root / FOLDER).mkdir(parents=True)
    for name, content in files.items():
        (root / FOLDER / name).write_bytes(content)
    return root


def message_of(caught: pytest.ExceptionInfo[NasError]) -> str:
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_downloads_unpacks_and_reads(site, tmp_path):
    root = tmp_path / "new" / "data"
    data = site.data(root)
    data.prepare_data()
    expected = {f"{FOLDER}/{name}" for name in site.files} | {"cifar-10-python.tar.gz"}
    assert listing(root) == expected and not (tmp_path / "new" / "escaped").exists()
    data.setup()
    assert data.sizes() == {"train": 10, "val": 10, "test": 4}
    assert data.splits.train_labels[::4].tolist() == [0, 1, 2, 3, 4] and data.splits.test_labels[0] == 5
    first = pickle.loads(site.files["data_batch_1"])[b"data"][0]
    assert data.splits.train_images[0].flatten().tolist() == first.tolist()
    assert data.class_names == ("airplane", "automobile")


def test_an_archive_in_the_root_needs_no_download(site, tmp_path):
    root = tmp_path / "data"
    root.mkdir()
    site.path.rename(root / site.path.name)
    data = site.data(root, download=False)
    data.prepare_data()
    assert data.sizes()["test"] == 4


def test_unpacked_files_need_no_archive_and_are_left_alone(site, tmp_path):
    root = unpacked(tmp_path / "data", site.files)
    before = listing(root)
    data = site.data(root, download=False)
    data.prepare_data()
    assert listing(root) == before and data.sizes()["test"] == 4


def test_only_missing_files_are_unpacked(site, tmp_path):
    root = unpacked(tmp_path / "data", {"data_batch_1": b"changed"})
    site.data(root).prepare_data()
    assert (root / FOLDER / "data_batch_1").read_bytes() == b"changed"


@pytest.mark.parametrize("protocol", [2, 4])
def test_pickle_protocols(tmp_path, protocol):
    files = contents(4) | {"test_batch": official_style()} if protocol == 2 else contents(4)
    site = Site(tmp_path / "site", files)
    data = site.data(unpacked(tmp_path / "data", files))
    assert data.splits.test_images.shape == (4, 3, 32, 32)


def official_style() -> bytes:
    """The opcodes of the official files: python 2 strings and numpy's old name for the function of arrays."""
    raw = np.arange(4 * 3072, dtype=np.uint32).astype(np.uint8).tobytes()
    return (
        b"\x80\x02}(U\x06labels](K\x01K\x02K\x03K\x04eU\x04data"
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x04M\x00\x0c\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R"
        b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        b"T" + len(raw).to_bytes(4, "little") + raw + b"tbu."
    )


class TestMissing:
    def test_says_where_it_looked_and_what_would_work(self, site, tmp_path):
        root = tmp_path / "data"
        with pytest.raises(NasError) as caught:
            site.data(root, download=False).prepare_data()
        message = message_of(caught)
        for part in (str(root / FOLDER), "data_batch_1 and 6 other files", "download is off", site.archive.md5,
                     site.archive.url):  # fmt: skip
            assert part in message
        assert not root.exists()

    def test_says_why_the_download_failed(self, site, tmp_path):
        site.path.unlink()
        with pytest.raises(NasError, match="the download failed .*No such file") as caught:
            site.data(tmp_path / "data").prepare_data()
        assert site.archive.md5 in message_of(caught) and listing(tmp_path / "data") == set()

    def test_a_broken_download_leaves_nothing(self, site, tmp_path):
        site.path.write_bytes(site.packed[:-10])
        with pytest.raises(NasError, match=f"the download has md5 {md5(site.packed[:-10])}"):
            site.data(tmp_path / "data").prepare_data()
        assert listing(tmp_path / "data") == set()

    def test_a_root_that_cannot_be_made(self, site, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(NasError, match="the download failed"):
            site.data(tmp_path / "file" / "data").prepare_data()

    def test_setup_alone_does_not_download(self, site, tmp_path):
        with pytest.raises(NasError, match=r"prepare_data\(\) was not called"):
            site.data(tmp_path / "data").setup()


class TestDamaged:
    def test_archive(self, site, tmp_path):
        (tmp_path / "cifar-10-python.tar.gz").write_bytes(site.packed[:100])
        with pytest.raises(NasError) as caught:
            site.data(tmp_path).prepare_data()
        message = message_of(caught)
        for part in ("cifar-10-python.tar.gz: damaged", md5(site.packed[:100]), site.archive.md5, "Delete it"):
            assert part in message
        assert not (tmp_path / FOLDER).exists()

    @pytest.mark.parametrize("cut", [0, 50, 5000])
    def test_archive_that_was_published_so(self, tmp_path, cut):
        broken = Site(tmp_path / "whole").packed[:cut]
        site = Site(tmp_path / "site", packed=broken)
        with pytest.raises(NasError, match="cifar-10-python.tar.gz: cannot be unpacked"):
            site.data(tmp_path / "data").prepare_data()

    def test_archive_without_a_file(self, tmp_path):
        site = Site(tmp_path / "site", packed=tar({f"{FOLDER}/data_batch_1": b"x"}))
        with pytest.raises(NasError, match="does not contain .*test_batch"):
            site.data(tmp_path / "data").prepare_data()

    def test_file(self, site, tmp_path):
        root = unpacked(tmp_path / "data", site.files | {"test_batch": b"short"})
        data = site.data(root)
        data.prepare_data()
        with pytest.raises(NasError, match=rf"test_batch: damaged \(md5 {md5(b'short')}, expected .*Delete it"):
            data.setup()


class Hostile:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


class TestHostile:
    def test_a_damaged_pickle_is_not_opened(self, site, tmp_path):
        bad = pickle.dumps(Hostile(tmp_path / "harm"))
        root = unpacked(tmp_path / "data", site.files | {"data_batch_1": bad})
        with pytest.raises(NasError, match="damaged"):
            site.data(root).setup()
        assert not (tmp_path / "harm").exists()

    @pytest.mark.parametrize("protocol", [0, 2, 4])
    def test_a_pickle_that_calls_is_refused_even_with_the_right_sum(self, tmp_path, protocol):
        files = contents() | {"data_batch_1": pickle.dumps(Hostile(tmp_path / "harm"), protocol)}
        site = Site(tmp_path / "site", files)
        with pytest.raises(NasError, match=r"data_batch_1: not a pickle of arrays .it contains (posix|nt)\.mkdir"):
            site.data(unpacked(tmp_path / "data", files)).setup()
        assert not (tmp_path / "harm").exists()


def test_cifar100_takes_the_fine_labels(tmp_path):
    data = np.arange(2 * 3072, dtype=np.uint32).astype(np.uint8).reshape(2, 3072)
    files = {
        "train": pickle.dumps({b"data": data, b"fine_labels": [99, 7], b"coarse_labels": [1, 2]}, 4),
        "test": pickle.dumps({b"data": data, b"fine_labels": [5, 6], b"coarse_labels": [1, 2]}, 4),
        "meta": pickle.dumps({b"fine_label_names": [b"apple"], b"coarse_label_names": [b"fruit"]}, 4),
    }
    sums = {name: md5(content) for name, content in files.items()}

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
def real(tmp_path_factory) -> Path:
    if not UNPACK.exists():
        pytest.skip("the data is not beside the repository")
    root = tmp_path_factory.mktemp("cifar")
    done = subprocess.run([sys.executable, str(UNPACK), str(root), "cifar10"], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"the data could not be unpacked: {done.stderr.strip().splitlines()[-1]}")
    return root


@pytest.mark.data
class TestReal:
    def test_content(self, real):
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

    def test_one_flipped_byte_is_found(self, real, tmp_path):
        (tmp_path / FOLDER).mkdir()
        for path in (real / FOLDER).iterdir():
            (tmp_path / FOLDER / path.name).symlink_to(path)
        content = bytearray((real / FOLDER / "test_batch").read_bytes())
        content[-1000] ^= 1
        (tmp_path / FOLDER / "test_batch").unlink()
        (tmp_path / FOLDER / "test_batch").write_bytes(content)
        with pytest.raises(NasError, match="test_batch: damaged .* expected 40351d587109b95175f43aff81a1287e"):
            Cifar10(tmp_path).setup()
