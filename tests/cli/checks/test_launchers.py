"""Properties of launchers: known ones, attributes of a class, and the configuration."""

from __future__ import annotations

from typing import Any

import pytest
from hydra.plugins.launcher import Launcher
from hydra.utils import get_class
from omegaconf import OmegaConf

from nas.cli.checks.launchers import KNOWN, LauncherProperties, launcher_properties
from nas.utils.errors import NasError


class Foreign(Launcher):
    """Launcher of another package, without declared properties."""

    def setup(self, **options: Any) -> None: ...

    def launch(self, job_overrides: Any, initial_job_idx: int) -> Any: ...


class StartsRanks(Foreign):
    """Launcher that declares its properties."""

    starts_ranks, tasks_key = True, "workers"


def properties(target: str, **given: Any) -> LauncherProperties:
    cfg = OmegaConf.create({"hydra": {"launcher": {"_target_": target}}, "extras": {"launcher": given}})
    return launcher_properties(cfg)


def test_properties_of_other_launchers_are_declared() -> None:
    name = f"{__name__}.Foreign"
    assert properties(name) == LauncherProperties()
    with pytest.raises(NasError, match="hydra.launcher._target_=no_such.Launcher: there is no module 'no_such'"):
        properties("no_such.Launcher")
    assert properties(name, starts_ranks=True, parallel=None) == LauncherProperties(starts_ranks=True)
    assert properties(f"{__name__}.StartsRanks") == LauncherProperties(True, tasks_key="workers")
    assert not properties(f"{__name__}.StartsRanks", starts_ranks=False).starts_ranks, "the configuration comes first"


@pytest.mark.parametrize("target", KNOWN)
def test_known_launchers_exist(target: str) -> None:
    pytest.importorskip(target.rpartition(".")[0])
    assert issubclass(get_class(target), Launcher)
