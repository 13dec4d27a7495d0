"""Plugin ``hydra/launcher=ray``. Hydra imports it at every start, so that it imports nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class RayLauncher(Launcher):
    """Launcher whose jobs are tasks of Ray.

    Args:
        options: the options of conf/hydra/launcher/ray.yaml.
    """

    parallel = True
    """Property of launchers that run several jobs at a time (``nas.cli.checks.launchers``)."""

    def __init__(self, **options: Any) -> None:
        self.options: Mapping[str, Any] = options
        self.hydra_context: HydraContext | None = None
        self.task_function: TaskFunction | None = None
        self.config: DictConfig | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run a batch of jobs and return their results in its order."""
        # imported here, because Ray is needed by this launcher alone
        from nas.cli.launchers.ray_jobs import Sweep, launch

        assert self.hydra_context is not None and self.task_function is not None and self.config is not None
        sweep = Sweep(self.hydra_context, self.config, self.task_function)
        return launch(sweep, job_overrides, initial_job_idx)
