"""Properties of Hydra's launchers: whether a sweep can have trainers with several processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf

from nas.utils.errors import NasError
from nas.utils.import_name import import_name

_SUBMITIT = "hydra_plugins.hydra_submitit_launcher.submitit_launcher"


@dataclass(frozen=True)
class LauncherProperties:
    """Properties of a launcher.

    Attributes:
        starts_ranks: whether it starts all processes of a job's trainer, as srun does. A launcher without this property
            starts one process per job.
        parallel: whether it runs several jobs at a time on one machine.
        tasks_key: its option with the number of processes per machine, None if it has none.
        nodes_key: its option with the number of machines, None if it has none.
    """

    starts_ranks: bool = False
    parallel: bool = False
    tasks_key: str | None = None
    nodes_key: str | None = None


KNOWN: Mapping[str, LauncherProperties] = {
    "hydra._internal.core_plugins.basic_launcher.BasicLauncher": LauncherProperties(),
    "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher": LauncherProperties(parallel=True),
    f"{_SUBMITIT}.SlurmLauncher": LauncherProperties(True, False, "tasks_per_node", "nodes"),
    f"{_SUBMITIT}.LocalLauncher": LauncherProperties(True, True, "tasks_per_node", "nodes"),
}
"""Properties of published launchers, by the target of their configuration."""


def launcher_properties(cfg: DictConfig) -> LauncherProperties:
    """Return the properties of the launcher of a sweep.

    They are taken from ``extras.launcher``, then from attributes of the launcher's class, then from ``KNOWN``.

    Args:
        cfg: the whole configuration, Hydra's part included.

    Raises:
        NasError: if the class of another launcher cannot be imported.
    """
    target = str(cfg.hydra.launcher._target_)
    defaults = KNOWN.get(target, LauncherProperties())
    given = OmegaConf.select(cfg, "extras.launcher") or {}
    launcher = None if target in KNOWN else _class_of(target)

    def value(name: str) -> Any:
        configured = given.get(name)
        return getattr(launcher, name, getattr(defaults, name)) if configured is None else configured

    return LauncherProperties(*(value(name) for name in LauncherProperties.__dataclass_fields__))


def _class_of(target: str) -> Any:
    """Return the class of a launcher. Raises NasError if it cannot be imported."""
    return import_name(f"hydra.launcher._target_={target}", target)


def check_tasks(cfg: DictConfig, properties: LauncherProperties, devices: int | None, machines: int) -> None:
    """Raise NasError if a launcher starts another number of processes per job than the trainer of the job has.

    Args:
        cfg: the whole configuration.
        properties: those of the launcher.
        devices: processes of the trainer on each machine, None if unknown.
        machines: machines of the trainer.
    """
    for key, count, option in (
        (properties.tasks_key, devices, "devices"),
        (properties.nodes_key, machines, "num_nodes"),
    ):
        tasks = None if key is None else cfg.hydra.launcher.get(key)
        if tasks is not None and count is not None and int(tasks) != count:
            raise NasError(
                f"hydra.launcher.{key}={tasks}: each job has trainer.{option}={count}. Set hydra.launcher.{key}="
                f"{count}."
            )
