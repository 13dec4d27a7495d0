"""Overrides of the running job."""

from __future__ import annotations

from typing import cast

from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf


def task_overrides() -> list[str]:
    """Return the overrides of the job that Hydra runs now, with interpolations as they were given.

    Items of ``HydraConfig.get().overrides.task`` resolve their interpolations, and fail for relative ones.
    """
    return cast(list[str], OmegaConf.to_container(HydraConfig.get().overrides.task, resolve=False))
