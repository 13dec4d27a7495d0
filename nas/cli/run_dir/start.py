"""Lines at the start of a run: its directory, configuration and device."""

from __future__ import annotations

import logging
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from pytorch_lightning.utilities import rank_zero_only

log = logging.getLogger(__name__)
GROUPS = ("experiment", "protocol", "method", "space", "dataset", "network", "trainer", "logger")
"""Groups whose choices are logged, for a search or a training."""

GROUPS_OF_MODE: Mapping[str, Sequence[str]] = {
    "rank_proxies": ("experiment", "proxy", "space", "dataset", "trainer", "executor"),
}
"""Groups of the modes that use other ones."""

VALUES: Mapping[str, Sequence[str]] = {
    "search": ("seed", "epochs"),
    "train": ("seed", "epochs"),
    "rank_proxies": ("seed",),
    "eval": (),  # an evaluation has no epochs, and nothing in it is random
}
"""Logged values by mode."""


@rank_zero_only
def log_start(cfg: DictConfig, trainer: pl.Trainer) -> None:
    """Log the run directory, the choices of the configuration and the device of a trainer."""
    processes = f"{trainer.world_size} x " if trainer.world_size > 1 else ""
    _log_run(cfg, VALUES[cfg.mode])
    log.info("device         %s%s", processes, _describe(trainer.strategy.root_device, str(trainer.precision)))


def log_start_without_trainer(cfg: DictConfig, device: torch.device) -> None:
    """Log the run directory, the choices of the configuration and the device of a job without epochs and loggers."""
    _log_run(cfg, [key for key in VALUES[cfg.mode] if key != "epochs"], logs=False)
    log.info("device         %s", _describe(device, "32-true"))


def _log_run(cfg: DictConfig, values: Sequence[str], logs: bool = True) -> None:
    log.info("run            %s", cfg.paths.output)
    choices = HydraConfig.get().runtime.choices
    shown = {group: choices.get(group) for group in GROUPS_OF_MODE.get(cfg.mode, GROUPS)}
    if not (logs and cfg.get("logger")):
        shown.pop("logger", None)
    chosen = {group: choice for group, choice in shown.items() if choice not in (None, "auto")}
    numbers = {key: cfg.trainer.max_epochs if key == "epochs" else cfg[key] for key in values}
    texts = [f"{key}={value}" for key, value in {**chosen, **numbers}.items()]
    record = Path(HydraConfig.get().output_subdir or "", "config.yaml")
    whole = f"   (all options: {record})" if HydraConfig.get().output_subdir else ""
    log.info("config         %s%s", " ".join(texts), whole)


def _describe(device: torch.device, precision: str) -> str:
    if device.type == "cuda":
        return f"{device.type} ({torch.cuda.get_device_name(device)}), {precision}"
    threads = torch.get_num_threads()
    name = platform.processor() or platform.machine()
    return f"{device.type} ({name}), {threads} thread{'s' if threads > 1 else ''}, {precision}"
