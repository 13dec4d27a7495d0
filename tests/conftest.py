"""Fixtures of all tests."""

from __future__ import annotations

import gc
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from tests.support.clean_checkout import (  # noqa: F401, hooks of pytest
    pytest_sessionfinish,
    pytest_sessionstart,
    pytest_terminal_summary,
)
from tests.support.composition_cache import cached_compositions
from tests.support.golden_tools import Golden, load_golden, shared_folder

# Tests run side by side on few cores: more than one thread each makes them many times slower.
torch.set_num_threads(1)

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # inherited by jobs in the background of a shell
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests that need an accelerator if there is none."""
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="needs a GPU"))


def pytest_collection_finish() -> None:
    """Exclude the imported modules from garbage collection: each full collection would visit a million objects."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _compositions() -> Iterator[None]:
    """Compose each choice of configuration groups once per process."""
    with cached_compositions():
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder with real data and reference values, or skip the test if it is absent."""
    folder = shared_folder()
    if not folder.is_dir():
        pytest.skip(f"no reference values: {folder} does not exist (set NAS_SHARED to another folder)")
    return folder


@pytest.fixture(scope="session")
def golden(shared: Path) -> Callable[[str], Golden]:
    """Return a loader of reference computations, which skips the test if the file is absent."""

    def load(name: str) -> Golden:
        file = shared / "golden" / f"{name}.npz"
        if not file.is_file():
            pytest.skip(f"no reference values: {file} does not exist")
        return load_golden(name)

    return load
