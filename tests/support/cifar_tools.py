"""Small CIFAR-10 and CIFAR-100 archives with md5 sums of their own, for tests without a download."""

from __future__ import annotations

import hashlib
import io
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np

from nas.data.cifar import Cifar10
from nas.data.pipeline.archive import Archive

FOLDER = "cifar-10-batches-py"


def md5_of(content: bytes) -> str:
    """Return the md5 sum of a content."""
    return hashlib.md5(content).hexdigest()


def batch_file(seed: int, protocol: int) -> bytes:
    """Return a file of four images in the format of the official files."""
    rng = np.random.default_rng(seed)
    data = rng.integers(0, 256, (4, 3072)).astype(np.uint8)
    return pickle.dumps({b"data": data, b"labels": [seed, 1, 2, 3]}, protocol)


def file_contents(protocol: int = 4) -> dict[str, bytes]:
    """Return the content of all files of a small CIFAR-10, by name."""
    files = {name: batch_file(i, protocol) for i, name in enumerate([*Cifar10.train_files, *Cifar10.test_files])}
    return files | {"batches.meta": pickle.dumps({b"label_names": [b"airplane", b"automobile"]}, 4)}


def tar_of(files: dict[str, bytes]) -> bytes:
    """Return a .tar.gz of the given files."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as out:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            out.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def cifar100_contents(train: int = 20, test: int = 20) -> dict[str, bytes]:
    """Return the content of all files of a small CIFAR-100, by name."""
    files = {"meta": pickle.dumps({b"fine_label_names": [b"%d" % i for i in range(100)]}, 4)}
    for seed, (name, size) in enumerate((("train", train), ("test", test))):
        pixels = np.random.default_rng(seed).integers(0, 256, (size, 3072)).astype(np.uint8)
        files[name] = pickle.dumps({b"data": pixels, b"fine_labels": [i % 100 for i in range(size)]}, 4)
    return files


def write_cifar100(root: Path, files: dict[str, bytes]) -> Archive:
    """Write the files of a CIFAR-100 into their folder below ``root``, and return the archive that describes them."""
    folder = root / "cifar-100-python"
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    sums = {name: md5_of(content) for name, content in files.items()}
    return Archive("file:///nowhere.tar.gz", "none", folder.name, sums)


class CifarSite:
    """A small CIFAR-10 archive in a directory, which serves as the web site."""

    def __init__(self, directory: Path, files: dict[str, bytes] | None = None, packed: bytes | None = None) -> None:
        self.files = file_contents() if files is None else files
        surplus = {f"{FOLDER}/readme.html": b"x"}  # an unexpected member, which must not be unpacked
        whole = tar_of({f"{FOLDER}/{name}": content for name, content in self.files.items()} | surplus)
        self.packed = whole if packed is None else packed
        self.path = directory / "cifar-10-python.tar.gz"
        directory.mkdir(exist_ok=True)
        self.path.write_bytes(self.packed)
        sums = {name: md5_of(content) for name, content in self.files.items()}
        self.archive = Archive(self.path.as_uri(), md5_of(self.packed), FOLDER, sums)

    def data(self, root: Path, **options: Any) -> Cifar10:
        """Return the data set of this archive."""

        class Small(Cifar10):
            archive = self.archive

        return Small(root, batch_size=2, **options)


def unpack_files(root: Path, files: dict[str, bytes]) -> Path:
    """Write the files into their folder below ``root``."""
    (root / FOLDER).mkdir(parents=True)
    for name, content in files.items():
        (root / FOLDER / name).write_bytes(content)
    return root


def list_files(root: Path) -> set[str]:
    """Return the relative paths of all files below ``root``."""
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
