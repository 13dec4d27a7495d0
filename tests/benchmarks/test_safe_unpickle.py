"""Unpickling without running code."""

from __future__ import annotations

import io
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest

from nas.benchmarks.safe_unpickle import SafeUnpickler, StreamingUnpickler
from tests.support.error_tools import run


@pytest.mark.parametrize("dtype", ["<f8", ">f8", "<f4", "<i8", ">i4", "|b1", "|u1"])
@pytest.mark.parametrize("protocol", range(6))
def test_safe_unpickler_reads_numpy_scalars(dtype: str, protocol: int) -> None:
    content = pickle.dumps(np.array([1], dtype)[0], protocol)
    assert SafeUnpickler(io.BytesIO(content), "here").load() == 1


def test_streaming_unpickler_reads_what_the_fast_one_reads() -> None:
    value = [{"a": [1, 2.5, "x"], 3: ("y", None, True)}, b"z" * 100_000]
    for protocol in range(6):
        content = pickle.dumps(value, protocol)
        assert StreamingUnpickler(io.BytesIO(content), "here").load() == value


@pytest.mark.parametrize("name", ["HW-NAS-Bench-v1_0.pickle", "NAS-Bench-201-v1_1-096897.pth"])
def test_number_of_an_object_in_a_damaged_file_allocates_nothing(name: str, tmp_path: Path) -> None:
    """A single wrong bit may number the first object as the sixteen millionth: a table of 256 MB."""
    (tmp_path / name).write_bytes(b"\x80\x04]r" + struct.pack("<I", 1 << 24) + b".")
    found = run("search", "convert", tmp_path / name, tmp_path / "table.parquet")
    found.refused("entry 16777216 of the memo after 0 entries", f"{name} is damaged")
    assert [path.name for path in tmp_path.iterdir()] == [name]
