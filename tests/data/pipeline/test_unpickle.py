"""nas.data.pipeline.unpickle: pickles of arrays in several protocols, and pickles with code."""

from __future__ import annotations

import os
import pickle
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.data.pipeline.unpickle import unpickle_arrays
from nas.utils.errors import NasError
from tests.support.cifar_tools import CifarSite, file_contents, unpack_files


def python2_batch() -> bytes:
    """Return a pickle with the opcodes of the official files: Python 2 strings, old NumPy names."""
    raw = np.arange(4 * 3072, dtype=np.uint32).astype(np.uint8).tobytes()
    return (
        b"\x80\x02}(U\x06labels](K\x01K\x02K\x03K\x04eU\x04data"
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x04M\x00\x0c\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R"
        b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        b"T" + len(raw).to_bytes(4, "little") + raw + b"tbu."
    )


@pytest.mark.parametrize("protocol", [2, 4])
def test_unpickle_reads_all_protocols(tmp_path: Path, protocol: int) -> None:
    files = file_contents(4) | {"test_batch": python2_batch()} if protocol == 2 else file_contents(4)
    site = CifarSite(tmp_path / "site", files)
    data = site.data(unpack_files(tmp_path / "data", files))
    assert data.splits.test_images.shape == (4, 3, 32, 32)


class CodeInPickle:
    """Create a directory when unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.target),)


def test_unpickle_skips_a_file_with_a_wrong_sum(tmp_path: Path) -> None:
    site = CifarSite(tmp_path / "site")
    bad = pickle.dumps(CodeInPickle(tmp_path / "harm"))
    root = unpack_files(tmp_path / "data", site.files | {"data_batch_1": bad})
    with pytest.raises(NasError, match="damaged"):
        site.data(root).setup()
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_unpickle_rejects_code(tmp_path: Path, protocol: int) -> None:
    files = file_contents() | {"data_batch_1": pickle.dumps(CodeInPickle(tmp_path / "harm"), protocol)}
    site = CifarSite(tmp_path / "site", files)
    with pytest.raises(NasError, match=r"data_batch_1: not a pickle of arrays .it contains (posix|nt)\.mkdir"):
        site.data(unpack_files(tmp_path / "data", files)).setup()
    assert not (tmp_path / "harm").exists()


def test_content_without_a_checksum_takes_memory_by_its_size(tmp_path: Path) -> None:
    """A damaged file may number its first object as the four millionth."""
    content = b"\x80\x04]r" + struct.pack("<I", 1 << 22) + b"."
    tracemalloc.start()
    try:
        assert unpickle_arrays(content, tmp_path, "latin1", verified=False) == []
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("protocol", range(5))
def test_content_without_a_checksum_is_read_alike(protocol: int, tmp_path: Path) -> None:
    value = {"data": np.arange(12, dtype=np.uint8).reshape(3, 4), "labels": [1, 2, 3], "mean": 0.5}
    found = unpickle_arrays(pickle.dumps(value, protocol), tmp_path, "latin1", verified=False)
    assert found["labels"] == [1, 2, 3] and found["mean"] == 0.5
    np.testing.assert_array_equal(found["data"], value["data"])
