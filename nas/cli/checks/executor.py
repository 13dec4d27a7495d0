"""Check of the executor before anything is written."""

from __future__ import annotations

import importlib.util

from omegaconf import DictConfig, OmegaConf

from nas.executors.ray_session import missing_ray

RAY = "nas.executors.ray_cluster.RayCluster"


def check_executor(cfg: DictConfig) -> None:
    """Raise NasError if the package of the executor is not installed."""
    if OmegaConf.select(cfg, "executor._target_") == RAY and importlib.util.find_spec("ray") is None:
        raise missing_ray("executor=ray", "executor=processes")
