"""Runs that several tests of the command line read; they copy a run before they change it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.error_tools import NB201, SEARCH, TRAIN, run


@pytest.fixture(scope="session")
def short_search(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run directory of a GDAS search of one epoch."""
    directory = tmp_path_factory.mktemp("short_search") / "run"
    run("search", *SEARCH, f"hydra.run.dir={directory}").succeeded()
    return directory


@pytest.fixture(scope="session")
def small_training(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run directory of a training with changed options of the data set."""
    directory = tmp_path_factory.mktemp("small_training") / "run"
    options = ["dataset.mean=0.45", "dataset.std=0.3", "dataset.classes=6", "seed=3", "dataset.batch_size=8"]
    arguments = [a for a in TRAIN if not a.startswith(("dataset.test_size", "dataset.batch_size"))]
    more = ["dataset.test_size=40", "network.channels=4", f"genotype={NB201}"]
    run("train", *arguments, *options, *more, f"hydra.run.dir={directory}").succeeded()
    return directory
