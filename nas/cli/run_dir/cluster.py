"""Ranks that a launcher has started: Lightning's view of the cluster, and equal options on all ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.plugins import ClusterEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from omegaconf import DictConfig
from pytorch_lightning.strategies import DDPStrategy

from nas.cli.run_dir.course import PARTS, course_of
from nas.cli.run_dir.launch import is_slurm, launched_sizes
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
    trainer.strategy.setup_environment()
    length = {"epochs_of_run": cfg.trainer.max_epochs, "ckpt_path": cfg.get("ckpt_path")}
    own = course_of(cfg, None, PARTS, **names, **length)
    check_equal(gather_objects(own))


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
