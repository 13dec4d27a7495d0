"""Options of the ranks of a run, and Lightning's view of SLURM."""

from __future__ import annotations

import pytest
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from pytorch_lightning.trainer.connectors.signal_connector import _SignalConnector

from nas.cli.run_dir.cluster import check_equal, cluster_plugins
from nas.utils.errors import NasError
from tests.support.node_tools import node_environment


def test_first_different_option_is_named() -> None:
    check_equal([{"seed": 0}, {"seed": 0}])
    with pytest.raises(NasError, match=r"^seed=1: rank 2 has this value, and rank 0 has 0\. Start all ranks"):
        check_equal([{"seed": 0, "b": 1}, {"seed": 0, "b": 1}, {"seed": 1, "b": 2}])
    with pytest.raises(NasError, match="^epochs=None: rank 1 has this value, and rank 0 has 5"):
        check_equal([{"epochs_of_run": 5}, {}])


def test_requeue_of_lightning_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would write a checkpoint within a step, and ignore SIGTERM."""
    assert cluster_plugins([]) == []
    for name, value in node_environment("srun", 0).items():
        monkeypatch.setenv(name, value)
    (plugin,) = cluster_plugins([])
    assert isinstance(plugin, SLURMEnvironment) and not plugin.auto_requeue
    assert cluster_plugins([plugin]) == [], "an environment of the user is kept"
    assert "auto_requeue" in _SignalConnector.register_signal_handlers.__code__.co_names
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    assert cluster_plugins([]) == []
