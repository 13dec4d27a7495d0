"""nas.cli.run_dir.command: options of own parts in the commands that a run prints."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from nas.cli.run_dir.command import own_parts_flags


@pytest.mark.parametrize(
    ("ops", "next_command", "resumed"),
    [
        ("space.ops=[mbconv3_3x3,skip_connect]", "", ""),
        ("space.ops=[none,my.ops.Conv]", "'own_parts=[my.ops.Conv]' ", "'space.ops=[none,my.ops.Conv]' "),
    ],
)
def test_own_parts_are_named_only_if_there_are_any(
    ops: str, next_command: str, resumed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = SimpleNamespace(overrides=SimpleNamespace(task=OmegaConf.create(["method=gdas", ops])))
    monkeypatch.setattr(HydraConfig, "initialized", staticmethod(lambda: True))
    monkeypatch.setattr(HydraConfig, "get", staticmethod(lambda: used))
    assert own_parts_flags() == next_command and own_parts_flags(resumed=True) == resumed
