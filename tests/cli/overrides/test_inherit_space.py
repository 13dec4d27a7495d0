"""nas.cli.overrides.inherit_space: spaces of a search that its training takes over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from nas.cli.overrides.conf_dir import CONF
from nas.cli.overrides.inherit_space import inherit_space

DARTS = {"_target_": "nas.spaces.darts.space.Darts"}
NAMED = {"_target_": "my_package.MyOp"}


@pytest.mark.parametrize(
    ("space", "inherited"),
    [
        ({**DARTS, "ops": ["none", "skip_connect"], "channels": 4}, False),
        ({**DARTS, "ops": None}, False),
        ({**DARTS, "ops": ["none", "my_package.MyOp"]}, True),
        ({**DARTS, "ops": ["none", NAMED]}, True),
        ({**DARTS, "ops": {"my_op": NAMED}}, True),
        ({"_target_": "my_package.MySpace"}, True),
        ({"_target_": "nas.choices.model_space.ModelSpace", "model": "my_package:Net"}, True),
    ],
    ids=["sizes", "no_ops", "dotted", "node", "mapping", "class", "model"],
)
def test_a_training_takes_over_a_space_with_own_parts_alone(
    space: dict[str, Any], inherited: bool, tmp_path: Path
) -> None:
    record, conf = tmp_path / "run" / ".hydra", tmp_path / "conf" / "space"
    record.mkdir(parents=True)
    conf.mkdir(parents=True)
    (conf / "mine.yaml").write_text("")
    (record / "overrides.yaml").write_text("[space=mine]")
    (record / "hydra.yaml").write_text("hydra: {runtime: {choices: {space: mine}}}")
    (record / "config.yaml").write_text(yaml.safe_dump({"space": space}))
    given = [f"genotype={tmp_path / 'run'}"]
    expected = ["space=mine", *given] if inherited else given
    assert inherit_space(given, [CONF, conf.parent]) == expected
