"""Unpickling without running code."""

from __future__ import annotations

import io
import pickle

import numpy as np
import pytest

from nas.benchmarks.safe_unpickle import SafeUnpickler


@pytest.mark.parametrize("dtype", ["<f8", ">f8", "<f4", "<i8", ">i4", "|b1", "|u1"])
@pytest.mark.parametrize("protocol", range(6))
def test_safe_unpickler_reads_numpy_scalars(dtype: str, protocol: int) -> None:
    content = pickle.dumps(np.array([1], dtype)[0], protocol)
    assert SafeUnpickler(io.BytesIO(content), "here").load() == 1
