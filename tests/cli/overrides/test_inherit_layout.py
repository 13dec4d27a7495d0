"""Layout of a network that is inherited from the search of its genotype."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from nas.cli.overrides.inherit_layout import inherit_layout
from tests.support.compose_tools import CONF

KEY = "++searched_network"


def saved(directory: Path, **changes: object) -> Path:
    """Write the configuration of a search in the mobile space with other values."""
    space = yaml.safe_load((CONF / "space" / "mobile.yaml").read_text())
    (directory / ".hydra").mkdir(exist_ok=True)
    (directory / ".hydra" / "config.yaml").write_text(yaml.safe_dump({"space": {**space, **changes}}))
    return directory


def test_changed_sizes_are_inherited(tmp_path: Path) -> None:
    assert inherit_layout(saved(tmp_path), []) == []
    run = saved(tmp_path, strides=[1, 1, 2, 1, 2, 1], stem_stride=1, squeeze=0.5)
    assert inherit_layout(run, []) == [f"{KEY}.strides=[1,1,2,1,2,1]", f"{KEY}.stem_stride=1"]
    assert inherit_layout(run, ["network.stem_stride=2"]) == [f"{KEY}.strides=[1,1,2,1,2,1]"]


def test_layout_of_a_training_is_inherited(tmp_path: Path) -> None:
    (tmp_path / ".hydra").mkdir()
    config = {"space": None, "network": {"widths": [8, 12], "depths": None, "head": 8, "squeeze": 0.5}}
    (tmp_path / ".hydra" / "config.yaml").write_text(yaml.safe_dump(config))
    assert inherit_layout(tmp_path, ["network.head=4"]) == [f"{KEY}.widths=[8,12]"]


@pytest.mark.parametrize("value", ["${oc.env:HOME}", {"_target_": "os.system"}, [1, "x"], 1.5, True, [[1]]])
def test_values_of_other_types_are_ignored(value: object, tmp_path: Path) -> None:
    assert inherit_layout(saved(tmp_path, widths=value), []) == []


def test_other_spaces_have_no_layout(tmp_path: Path) -> None:
    assert inherit_layout(tmp_path, []) == []
    assert inherit_layout(saved(tmp_path, _target_="nas.spaces.darts.space.Darts", widths=[1]), []) == []


def test_network_of_a_budget_is_inherited_except_with_a_protocol(tmp_path: Path) -> None:
    (tmp_path / ".hydra").mkdir()
    network = {"channels": 16, "auxiliary": False, "stem": "imagenet", "_target_": "os.system", "x": "${oc.env:A}"}
    (tmp_path / ".hydra" / "config.yaml").write_text(yaml.safe_dump({"budget": {"macs": 1, "network": network}}))
    assert inherit_layout(tmp_path, ["network.channels=8"]) == [f"{KEY}.auxiliary=False", f"{KEY}.stem=imagenet"]
    assert inherit_layout(tmp_path, ["protocol=darts"]) == []
    given = [f"{KEY}.channels=3", "network.auxiliary=null"]
    assert inherit_layout(tmp_path, given) == [f"{KEY}.stem=imagenet"], "of a resumed run, or of the command line"


def test_network_of_a_search_is_inherited_by_trainings_of_its_training(tmp_path: Path) -> None:
    (tmp_path / ".hydra").mkdir()
    config = {"searched_network": {"channels": 16, "widths": [8], "x": "${a}"}, "network": {"channels": 8}}
    (tmp_path / ".hydra" / "config.yaml").write_text(yaml.safe_dump(config))
    assert inherit_layout(tmp_path, []) == [f"{KEY}.channels=16", f"{KEY}.widths=[8]"]
    assert inherit_layout(tmp_path, ["protocol=darts"]) == [f"{KEY}.widths=[8]"]
