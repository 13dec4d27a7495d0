"""Hydra's record of a run (.hydra/), rewritten when its configuration changes after Hydra has written it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from nas.utils.atomic_write import write_atomically


def save_record(folder: Path, cfg: DictConfig) -> None:
    """Write configuration, choices and overrides of the running job into ``folder``."""
    hydra = HydraConfig.get()
    record: dict[str, Any] = {"config": cfg, "hydra": {"hydra": hydra}, "overrides": hydra.overrides.task}
    for name, value in record.items():
        write_atomically(folder / f"{name}.yaml", OmegaConf.to_yaml(value))
