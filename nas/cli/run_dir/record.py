"""Hydra's record of a run (.hydra/), rewritten when its configuration changes after Hydra has written it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from nas.utils.atomic_write import write_atomically


def save_record(folder: Path, cfg: DictConfig, overrides: Sequence[str] | None = None) -> None:
    """Write configuration, choices and overrides of the running job, or other ``overrides``, into ``folder``."""
    hydra = HydraConfig.get()
    task = hydra.overrides.task if overrides is None else list(overrides)
    record: dict[str, Any] = {"config": cfg, "hydra": {"hydra": hydra}, "overrides": task}
    for name, value in record.items():
        write_atomically(folder / f"{name}.yaml", OmegaConf.to_yaml(value))
