"""Converted tables of TransNAS-Bench-101 with few architectures."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.benchmarks.convert import convert
from tests.support import trans_nas_bench_101_tools as files
from tests.support.trans_nas_bench_101_tools import MACRO, MICRO, NAMES, SKELETONS, SOURCE


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Convert a file of twelve cells and three skeletons."""
    directory = tmp_path_factory.mktemp("transnas")
    files.save(files.content(SKELETONS, NAMES), directory / SOURCE)
    for space in (MICRO, MACRO):
        convert(directory / SOURCE, directory / f"{space}.parquet", partial=True, space=space)
    return directory
