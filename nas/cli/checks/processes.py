"""Checks of the processes of a run: as many as its trainer has, started once, and able to find each other."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf

from nas.cli.checks.launchers import check_tasks, launcher_properties
from nas.cli.run_dir.launch import Sizes, check_numbers, is_slurm, is_torchrun, launched_sizes
from nas.cli.run_dir.ranks import is_distributed
from nas.utils.errors import NasError
from nas.utils.program import program

LAUNCHED = ("LOCAL_RANK", "SLURM_PROCID", "TORCHELASTIC_RUN_ID")
"""Environment variables of a process that a launcher has started."""


def check_processes(cfg: Any, sweeping: bool | None = None, environment: Mapping[str, str] = os.environ) -> None:
    """Raise NasError if the processes of a run would wait for others that nothing starts.

    Args:
        cfg: the configuration, with Hydra's part before a run.
        sweeping: whether the run is a sweep or a job of one; None: read it from Hydra's state.
        environment: variables of the process.
    """
    check_numbers(environment)
    before = "hydra" in cfg
    sweeping = HydraConfig.get().mode == RunMode.MULTIRUN if sweeping is None else sweeping
    if sweeping and before and (properties := launcher_properties(cfg)).starts_ranks:
        check_tasks(cfg, properties, devices_of(cfg.trainer), cfg.trainer.get("num_nodes") or 1)
        return
    if sweeping:
        _refuse_nested_ddp(cfg, environment)
    _refuse_single_node(cfg, environment)
    if is_distributed(cfg, environment):
        _check_launch(cfg, environment)


def devices_of(trainer: Any) -> int | None:
    """Return the number of processes of a trainer on each machine, None for all devices of a machine."""
    devices = trainer.devices
    if OmegaConf.is_list(devices):
        return len(devices)
    if isinstance(devices, str) and "," in devices:
        return len([index for index in devices.split(",") if index.strip()])
    try:
        count = int(devices)
    except (TypeError, ValueError):
        return None
    return count if count > 0 else None


def _check_launch(cfg: Any, environment: Mapping[str, str]) -> None:
    """Raise NasError unless the launcher has started the ranks of the trainer and they can find each other."""
    devices, machines, sizes = devices_of(cfg.trainer), cfg.trainer.get("num_nodes") or 1, launched_sizes(environment)
    if sizes is not None and sizes.launcher == "srun" and sizes.processes > 1 and "SLURM_STEP_ID" not in environment:
        raise NasError(
            f"SLURM_NTASKS={sizes.processes}: the batch script has started a single process, which would wait for the "
            f"others forever. Put srun before the command: srun {program('search' if 'method' in cfg else 'train')} ..."
        )
    if sizes is not None and not _fits(sizes, devices, machines):
        per, count = sizes.per_machine or devices or sizes.processes, sizes.machines or 1
        wanted = "" if devices is None else f", or start {devices * machines} processes"
        raise NasError(
            f"trainer.devices={cfg.trainer.devices} trainer.num_nodes={machines}: {sizes.describe()}. Set "
            f"trainer.devices={per} trainer.num_nodes={count}{wanted}."
        )
    found_by_slurm = is_slurm(environment) and "SLURM_NODELIST" in environment
    started = is_torchrun(environment) or is_slurm(environment) or machines > 1 or "RANK" in environment
    missing = [name for name in ("MASTER_ADDR", "MASTER_PORT") if name not in environment]
    if is_slurm(environment):
        missing = [name for name in missing if name == "MASTER_ADDR" and machines > 1]
    if missing and started and not found_by_slurm and not _is_mpi(environment):
        raise NasError(
            f"{missing[0]}: not set, so the processes cannot find each other. Set MASTER_ADDR to the host of the first "
            "process and MASTER_PORT to a free port of it, or start the command by torchrun."
        )


def _fits(sizes: Sizes, devices: int | None, machines: int) -> bool:
    per_machine = devices is None or sizes.per_machine in (None, devices)
    total = devices is None or sizes.processes == devices * machines
    return per_machine and total and sizes.machines in (None, machines)


def _is_mpi(environment: Mapping[str, str]) -> bool:
    return any(name in environment for name in ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE"))


def _refuse_single_node(cfg: Any, environment: Mapping[str, str]) -> None:
    """Raise NasError if a run on several machines would wait forever for processes that nothing starts."""
    nodes = cfg.trainer.get("num_nodes") or 1
    if nodes != 1 and not any(name in environment for name in (*LAUNCHED, "MASTER_ADDR", "NODE_RANK")):
        raise NasError(
            f"trainer.num_nodes={nodes}: no launcher has started this process. Use torchrun or srun on each machine "
            "(docs/distributed.md), or trainer.num_nodes=1."
        )


def _refuse_nested_ddp(cfg: Any, environment: Mapping[str, str]) -> None:
    """Raise NasError if Lightning would start a second sweep inside each process of a sweep's job."""
    several = cfg.trainer.devices not in (1, "1", "auto") and cfg.trainer.strategy not in ("auto", None)
    if not several or any(name in environment for name in LAUNCHED):
        return
    reason = "a trainer of several processes would start the sweep again in each of them"
    if "hydra" in cfg and launcher_properties(cfg).parallel:
        reason = "the launcher starts one process per parallel job, but the trainer of a job needs several"
    raise NasError(
        f"-m: {reason}. Run the jobs one by one without -m (for s in 0 1 2; do {program('search')} seed=$s "
        "trainer=ddp; done), or use a launcher that starts the processes: hydra/launcher=submitit_slurm, "
        "submitit_local, or a custom launcher with extras.launcher.starts_ranks=true."
    )
