"""Ranks that a launcher has started: Lightning's view of the cluster, and equal options on all ranks."""

from __future__ import annotations

import atexit
import os
from collections.abc import Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
import torch.distributed as dist
from lightning_fabric.plugins import ClusterEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from omegaconf import DictConfig
from pytorch_lightning.strategies import DDPStrategy

from nas.cli.run_dir.course import PARTS, course_of
from nas.cli.run_dir.launch import is_slurm, is_torchrun, launched_sizes, restart_count
from nas.cli.run_dir.ranks import is_distributed
from nas.utils.distributed import gather_objects
from nas.utils.errors import NasError


def cluster_plugins(given: Sequence[Any]) -> list[ClusterEnvironment]:
    """Return Lightning's environment of SLURM without its requeue, none elsewhere or if ``given`` has one.

    Lightning's own requeue writes a checkpoint wherever the signal arrives, also within a step. ``StopOnSignal`` and
    ``requeue_job`` replace it.
    """
    if not is_slurm() or any(isinstance(plugin, ClusterEnvironment) for plugin in given):
        return []
    return [SLURMEnvironment(auto_requeue=False)]


def join_ranks(trainer: pl.Trainer, cfg: DictConfig, names: Mapping[str, str]) -> None:
    """Connect the ranks of a launcher, and check that the options of their run are equal.

    Processes that Lightning starts have the same command line, and do not exist before the fit.

    Args:
        trainer: trainer of this rank.
        cfg: configuration of this rank.
        names: names of the parts of the run, by configuration group.

    Raises:
        NasError: on all ranks, if an option differs between them.
    """
    launched = is_distributed(cfg) and launched_sizes() is not None
    if trainer.world_size == 1 or not launched or not isinstance(trainer.strategy, DDPStrategy):
        return
    if keeps_addresses_of_ended_ranks() and dist.is_available() and not dist.is_initialized():
        connect_restarted_rank(trainer.strategy)
    trainer.strategy.setup_environment()
    length = {"epochs_of_run": cfg.trainer.max_epochs, "ckpt_path": cfg.get("ckpt_path")}
    own = course_of(cfg, None, PARTS, **names, **length)
    check_equal(gather_objects(own))


def keeps_addresses_of_ended_ranks(environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether torchrun has restarted this process, and its agent keeps the store of the ranks."""
    restarted = is_torchrun(environment) and restart_count(environment) > 0
    return restarted and environment.get("TORCHELASTIC_USE_AGENT_STORE") == "True"


def connect_restarted_rank(strategy: DDPStrategy, environment: Mapping[str, str] = os.environ) -> None:
    """Connect a rank that torchrun has restarted with the others; Lightning keeps the connection.

    The ranks exchange their addresses in the store of torchrun, which still contains those of the ended processes. A
    rank that reads one before its owner has replaced it waits for a process that does not exist.

    Args:
        strategy: strategy of the trainer.
        environment: variables of the process.
    """
    # imported here, because a build of PyTorch without torch.distributed lacks them
    from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]
    from torch.distributed.constants import default_pg_timeout

    port, size = int(environment["MASTER_PORT"]), int(environment["WORLD_SIZE"])
    timeout = strategy._timeout or default_pg_timeout
    store = TCPStore(environment["MASTER_ADDR"], port, is_master=False, timeout=timeout)
    on_gpu = strategy.root_device.type == "cuda"
    dist.init_process_group(
        strategy.process_group_backend or ("nccl" if on_gpu else "gloo"),
        store=PrefixStore(f"restart_{environment['TORCHELASTIC_RESTART_COUNT']}", store),
        rank=int(environment["RANK"]),
        world_size=size,
        timeout=timeout,
        device_id=strategy.root_device if on_gpu else None,
    )
    if on_gpu:  # as Lightning does
        atexit.register(_disconnect)


def _disconnect() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def check_equal(options: Sequence[Mapping[str, Any]]) -> None:
    """Raise NasError for the first option that differs between ranks.

    Args:
        options: options of each rank, by dotted key.
    """
    first = options[0]
    for rank, other in enumerate(options):
        for key in dict.fromkeys([*first, *other]):
            if first.get(key) != other.get(key):
                raise NasError(
                    f"{key.removesuffix('_of_run')}={other.get(key)}: rank {rank} has this value, and rank 0 has "
                    f"{first.get(key)}. Start all ranks with the same options."
                )
