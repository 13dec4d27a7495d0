"""Options of hydra/launcher=ray, checked before the sweep starts."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from omegaconf import DictConfig

from nas.utils.errors import NasError
from nas.utils.ranges import COUNT, NOT_NEGATIVE, check_number

RAY_LAUNCHER = "hydra_plugins.nas_sweeps.ray_launcher.RayLauncher"


@dataclass(frozen=True)
class RayOptions:
    """Resources of the jobs of a sweep on Ray.

    Attributes:
        address: cluster, None for Ray on this machine.
        jobs: jobs at the same time, None for as many as fit.
        cpus, gpus: cores and GPUs per job.
    """

    address: str | None
    jobs: int | None
    cpus: float
    gpus: float


def read_options(cfg: DictConfig) -> RayOptions:
    """Return the options of a configuration that includes Hydra's own part. Raises NasError for an invalid value."""
    node = cfg.hydra.launcher
    for key, allowed in (("n_jobs", COUNT), ("num_cpus", NOT_NEGATIVE), ("num_gpus", NOT_NEGATIVE)):
        check_number(f"hydra.launcher.{key}", node[key], allowed)
    on_gpu = cfg.trainer.get("accelerator") in ("gpu", "cuda")
    gpus = (1.0 if on_gpu else 0.0) if node.num_gpus is None else float(node.num_gpus)
    cpus = 1.0 if node.num_cpus is None else float(node.num_cpus)
    if gpus > 1 and not gpus.is_integer():
        raise NasError(f"hydra.launcher.num_gpus={gpus}: above 1, Ray takes whole numbers.")
    return RayOptions(node.address, node.n_jobs, cpus, gpus)


def prefer_own_launcher() -> None:
    """Remove the choice hydra/launcher=ray of another package (hydra-ray-launcher) from this process.

    Hydra would check the options of conf/hydra/launcher/ray.yaml against those of the other package.
    """
    Plugins.instance()  # imports all plugins, which register their choices
    launchers: Any = ConfigStore.instance().repo.get("hydra", {}).get("launcher", {})
    launchers.pop("ray.yaml", None)


def check_launcher(cfg: DictConfig) -> None:
    """Raise NasError if the sweep runs on Ray, and Ray is not installed or its options are invalid."""
    if cfg.hydra.launcher._target_ != RAY_LAUNCHER:
        return
    if importlib.util.find_spec("ray") is None:
        raise NasError(
            "hydra/launcher=ray: Ray is not installed. Run pip install 'nas-compose[ray]', or set "
            "hydra/launcher=joblib."
        )
    check_plugins("hydra/launcher=ray")
    read_options(cfg)


def check_plugins(choice: str) -> None:
    """Raise NasError if Hydra does not find the plugins of this package, as in an older installation of a checkout."""
    if importlib.util.find_spec("hydra_plugins.nas_sweeps") is None:
        raise NasError(f"{choice}: its plugin is not installed. Install the package again (pip install -e .).")
