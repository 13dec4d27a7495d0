"""What all tests share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.support.golden_tools import Golden, load_golden, shared_folder

# Tests run side by side on few cores: more than one thread each makes them many times slower.
torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs an accelerator where there is none."""
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="needs a GPU"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real data and reference values; the test is skipped where it is absent."""
    folder = shared_folder()
    if not folder.is_dir():
        pytest.skip(f"no reference values: {folder} does not exist (NAS_SHARED names another place)")
    return folder


@pytest.fixture(scope="session")
def golden(shared: Path) -> Callable[[str], Golden]:
    """A loader of reference computations by name; the test is skipped where the file is absent."""

    def load(name: str) -> Golden:
        file = shared / "golden" / f"{name}.npz"
        if not file.is_file():
            pytest.skip(f"no reference values: {file} does not exist")
        return load_golden(name)

    return load
