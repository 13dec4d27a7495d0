"""Check of the processes of a run: a sweep must not start several processes per job."""

from __future__ import annotations

import os
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from nas.utils.errors import NasError
from nas.utils.program import program

LAUNCHED = ("LOCAL_RANK", "SLURM_PROCID", "TORCHELASTIC_RUN_ID")
"""Environment variables of a process that a launcher has started."""


def refuse_single_node(cfg: Any) -> None:
    """Raise NasError if a run on several machines would wait forever for processes that nothing starts."""
    nodes = cfg.trainer.get("num_nodes") or 1
    if nodes != 1 and not any(name in os.environ for name in (*LAUNCHED, "MASTER_ADDR", "NODE_RANK")):
        raise NasError(
            f"trainer.num_nodes={nodes}: no launcher has started this process. Use torchrun or srun on each machine "
            "(docs/distributed.md), or trainer.num_nodes=1."
        )


def refuse_nested_ddp(cfg: Any, sweeping: bool | None = None) -> None:
    """Raise NasError if Lightning would start a second sweep inside each process of a sweep's job.

    ``sweeping`` is read from Hydra's state if it is None.
    """
    sweeping = HydraConfig.get().mode == RunMode.MULTIRUN if sweeping is None else sweeping
    several = cfg.trainer.devices not in (1, "1", "auto") and cfg.trainer.strategy not in ("auto", None)
    launched = any(name in os.environ for name in LAUNCHED)
    if sweeping and several and not launched:
        raise NasError(
            "-m: a trainer of several processes would start the sweep again in each of them. Run the jobs one by one "
            f"without -m (for s in 0 1 2; do {program('search')} seed=$s trainer=ddp; done), or let "
            "hydra/launcher=submitit_slurm start the processes."
        )
