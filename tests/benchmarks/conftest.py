"""Releases of small spaces."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.benchmarks import read_release
from tests.support.nats_tools import SMALL, write_directory


@pytest.fixture
def small_spaces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read releases of small spaces."""
    monkeypatch.setattr(read_release, "BENCHMARK_SPACES", SMALL)


@pytest.fixture(scope="session")
def tss_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a release of the small topology space."""
    return write_directory("nas_bench_201", tmp_path_factory.mktemp("tss"))
