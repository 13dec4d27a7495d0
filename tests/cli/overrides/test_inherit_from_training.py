"""Data set of an evaluation: that of the training."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.cli.overrides.inherit_from_training import inherit_from_training
from tests.support.deploy_tools import save_random_model
from tests.support.error_tools import NB201, TRAIN, run


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run directory of a training with changed options of the data set."""
    directory = tmp_path_factory.mktemp("trained") / "run"
    options = ["dataset.mean=0.45", "dataset.std=0.3", "dataset.classes=6", "seed=3", "dataset.batch_size=8"]
    arguments = [a for a in TRAIN if not a.startswith(("dataset.test_size", "dataset.batch_size"))]
    more = ["dataset.test_size=40", "network.channels=4", f"genotype={NB201}"]
    run("train", *arguments, *options, *more, f"hydra.run.dir={directory}").succeeded()
    return directory


def test_inherit_from_training_adds_the_data_set(trained: Path, tmp_path: Path) -> None:
    taken = inherit_from_training(["mode=eval", f"weights={trained}"])
    expected = ["dataset=synthetic", "dataset.shape=[3,8,8]", "dataset.classes=6", "dataset.size=64"]
    assert set(expected) <= set(taken) and "seed=3" in taken and taken[-1] == f"weights={trained}"
    assert "seed=9" in (given := inherit_from_training(["seed=9", f"weights={trained}"])) and "seed=3" not in given
    assert inherit_from_training(["dataset=digits", f"weights={trained}"]) == ["dataset=digits", f"weights={trained}"]
    alone = save_random_model(tmp_path / "moved.pt")
    assert inherit_from_training([f"weights={alone}"])[0] == "dataset=synthetic"
    assert inherit_from_training(["weights=nowhere"]) == ["weights=nowhere"]
