"""Options of the ranks of a run, and Lightning's view of SLURM."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.distributed as dist
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from pytorch_lightning.trainer.connectors.signal_connector import _SignalConnector

from nas.cli.run_dir.cluster import (
    check_equal,
    cluster_plugins,
    connect_restarted_rank,
    keeps_addresses_of_ended_ranks,
)
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


@pytest.mark.parametrize(
    ("changed", "expected"),
    [({}, True), ({"TORCHELASTIC_RESTART_COUNT": "0"}, False), ({"TORCHELASTIC_USE_AGENT_STORE": "False"}, False)],
    ids=["restarted", "first start", "store of the first rank"],
)
def test_only_restarted_ranks_of_torchrun_find_old_addresses(changed: dict[str, str], expected: bool) -> None:
    environment = {**node_environment("torchrun", 0, 1), "TORCHELASTIC_USE_AGENT_STORE": "True", **changed}
    assert keeps_addresses_of_ended_ranks(environment) is expected
    assert not keeps_addresses_of_ended_ranks(
        {**node_environment("srun", 0, 1), "TORCHELASTIC_USE_AGENT_STORE": "True"}
    )


def test_restarted_rank_does_not_read_the_addresses_of_ended_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    server = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    server.set("default_pg/0//rank", "address of an ended process")
    environment = {
        **node_environment("torchrun", 1, 2),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(server.port),
    }
    given: dict[str, Any] = {}
    monkeypatch.setattr(dist, "init_process_group", lambda backend, **options: given.update(options, backend=backend))
    strategy = SimpleNamespace(
        _timeout=timedelta(seconds=5), root_device=torch.device("cpu"), process_group_backend=None
    )
    connect_restarted_rank(strategy, environment)  # type: ignore[arg-type]
    store = given["store"]
    assert not store.check(["default_pg/0//rank"]) and server.check(["default_pg/0//rank"])
    store.set("mine", "new")
    assert server.get("restart_2/mine") == b"new"
    assert (given["backend"], given["rank"], given["world_size"], given["device_id"]) == ("gloo", 1, 2, None)
