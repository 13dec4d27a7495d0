"""Plugin ``hydra/sweeper=optuna``. Hydra imports it at every start, so that it imports nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class OptunaSweeper(Sweeper):
    """Sweeper whose jobs are the trials of an Optuna study.

    Args:
        options: the options of conf/hydra/sweeper/optuna.yaml, which are read from the configuration.
    """

    def __init__(self, **options: Any) -> None:
        self.options: Mapping[str, Any] = options
        self.hydra_context: HydraContext | None = None
        self.config: DictConfig | None = None
        self.launcher: Launcher | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context, self.config = hydra_context, config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Run the trials of a command line."""
        # imported here, because Optuna is needed by this sweeper alone
        from nas.cli.study.sweep import sweep_study

        assert self.hydra_context is not None and self.config is not None and self.launcher is not None
        sweep_study(arguments, self.config, self.hydra_context, self.launcher)
