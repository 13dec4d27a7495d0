"""Configuration of a run in the processes of an executor."""

from __future__ import annotations

from typing import Any

from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from nas.cli.overrides.conf_dir import CONF
from nas.executors.base import Executor


class WorkerContext:
    """Picklable function that restores Hydra's configuration, which an evaluator may read, in a worker.

    Args:
        cfg: configuration with Hydra's part.
    """

    def __init__(self, cfg: DictConfig) -> None:
        self.job = str(cfg.hydra.job.config_name)
        self.values: Any = OmegaConf.to_container(cfg, resolve=False)

    def __call__(self) -> None:
        if HydraConfig.initialized():  # a worker of this process
            return
        GlobalHydra.instance().clear()
        initialize_config_dir(str(CONF), job_name=self.job, version_base="1.3")
        HydraConfig.instance().cfg = OmegaConf.create({"hydra": self.values["hydra"]})  # type: ignore[assignment]


def use_context(executor: Executor) -> Executor:
    """Let the workers of an executor restore the configuration of the running job, and return the executor."""
    if HydraConfig.initialized():
        hydra = OmegaConf.create({"hydra": OmegaConf.to_container(HydraConfig.get(), resolve=False)})
        executor.prepare = WorkerContext(hydra)
    return executor
