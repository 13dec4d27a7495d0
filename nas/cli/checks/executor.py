"""Check of the executor before anything is written."""

from __future__ import annotations

import importlib.util

from omegaconf import DictConfig, OmegaConf

from nas.executors.ray_session import missing_ray
from nas.utils.errors import NasError

RAY = "nas.executors.ray_cluster.RayCluster"
SERIAL = "nas.executors.serial.Serial"


def check_executor(cfg: DictConfig) -> None:
    """Raise NasError if the package of the executor is missing, or its workers escape the budget of CPU time."""
    target = OmegaConf.select(cfg, "executor._target_")
    if target == RAY and importlib.util.find_spec("ray") is None:
        raise missing_ray("executor=ray", "executor=processes")
    minutes = OmegaConf.select(cfg, "cpu_minutes")
    if target not in (None, SERIAL) and minutes is not None:
        raise NasError(
            f"cpu_minutes={minutes}: the CPU time of worker processes is not measured. Set executor=serial, or leave "
            "cpu_minutes out."
        )
