"""Lines at the start of a run: its directory, configuration and device."""

from __future__ import annotations

import logging
import platform
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from pytorch_lightning.utilities import rank_zero_only

log = logging.getLogger(__name__)
GROUPS = ("experiment", "protocol", "method", "space", "dataset", "network", "trainer", "logger")


@rank_zero_only
def log_start(cfg: DictConfig, trainer: pl.Trainer) -> None:
    """Log the run directory, the choices of the configuration and the device."""
    log.info("run            %s", cfg.paths.output)
    choices = HydraConfig.get().runtime.choices
    chosen = {group: choices[group] for group in GROUPS if group in choices and choices[group] not in (None, "auto")}
    further = {key: cfg[key] for key in ("seed", "epochs") if key in cfg}
    record = Path(HydraConfig.get().output_subdir or "", "config.yaml")
    whole = f"   (all options: {record})" if HydraConfig.get().output_subdir else ""
    log.info("config         %s%s", " ".join(f"{key}={value}" for key, value in {**chosen, **further}.items()), whole)
    log.info("device         %s", _device(trainer))


def _device(trainer: pl.Trainer) -> str:
    device = trainer.strategy.root_device
    parts: list[Any] = [str(trainer.precision)]
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    else:
        threads = torch.get_num_threads()
        name = platform.processor() or platform.machine()
        parts.insert(0, f"{threads} thread{'s' if threads > 1 else ''}")
    processes = f"{trainer.world_size} x " if trainer.world_size > 1 else ""
    return f"{processes}{device.type} ({name}), {', '.join(parts)}"
