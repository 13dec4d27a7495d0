"""Data set of an evaluation: that of the training."""

from __future__ import annotations

from pathlib import Path

from nas.cli.overrides.inherit_from_training import inherit_from_training
from tests.support.deploy_tools import save_random_model


def test_inherit_from_training_adds_the_data_set(small_training: Path, tmp_path: Path) -> None:
    weights = f"weights={small_training}"
    taken = inherit_from_training(["mode=eval", weights])
    expected = ["dataset=synthetic", "dataset.shape=[3,8,8]", "dataset.classes=6", "dataset.size=64"]
    assert set(expected) <= set(taken) and "seed=3" in taken and taken[-1] == weights
    assert "seed=9" in (given := inherit_from_training(["seed=9", weights])) and "seed=3" not in given
    assert inherit_from_training(["dataset=digits", weights]) == ["dataset=digits", weights]
    alone = save_random_model(tmp_path / "moved.pt")
    assert inherit_from_training([f"weights={alone}"])[0] == "dataset=synthetic"
    assert inherit_from_training(["weights=nowhere"]) == ["weights=nowhere"]
