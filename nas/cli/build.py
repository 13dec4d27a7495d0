"""From a composed configuration to objects."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf, open_dict
from pytorch_lightning.loggers import Logger, WandbLogger

from nas.cli.overrides.compatibility import refuse_unmet_needs
from nas.cli.overrides.signatures import check_network
from nas.cli.run_dir.checkpoints import WholeCheckpoints
from nas.data.base import ImageData
from nas.searches.base import Search
from nas.spaces.base import Space
from nas.utils.errors import NasError

NOT_OPTIONS = ("epochs", "requires", "space", "warmup_ratio")
"""The keys of a method that its search is not made from."""


def build_data(cfg: DictConfig, **options: Any) -> ImageData:
    """The data set; nothing is read yet."""
    cfg.paths.data = str(Path(cfg.paths.data).expanduser())
    data: ImageData = instantiate(cfg.dataset, **options, _convert_="all")
    return data


def build_space(cfg: DictConfig, data: ImageData) -> Space:
    """The space, told by the data set what comes in and how many classes go out."""
    space: Space = instantiate(cfg, shape=data.shape, classes=data.classes, _convert_="all")
    return space


def build_search(cfg: DictConfig, space: Space) -> Search:
    """The search of a method on a space. Raises NasError where the method means nothing there."""
    refuse_unmet_needs(cfg, cfg._get_parent()["space"], space)  # type: ignore[index]
    network = (cfg.get("evaluator") or {}).get("network")
    if network is not None:
        check_network("evaluator.network", space, network)
    method = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key not in NOT_OPTIONS])
    method._set_parent(cfg._get_parent())
    search: Search = instantiate(method, space=space, _convert_="all")
    return search


def build_trainer(cfg: DictConfig, more: Sequence[pl.Callback] = ()) -> pl.Trainer:
    """The trainer with its loggers and callbacks, and ``more`` of these. Raises NasError where there is no GPU."""
    if cfg.trainer.accelerator in ("gpu", "cuda") and not torch.backends.mps.is_available():
        _need_cuda(cfg)
    if cfg.trainer.enable_progress_bar is None:
        with open_dict(cfg):
            cfg.trainer.enable_progress_bar = sys.stderr.isatty()
    loggers: list[Logger] = [instantiate(part, _convert_="all") for part in (cfg.logger or {}).values()]
    callbacks: list[pl.Callback] = [instantiate(part, _convert_="all") for part in cfg.callbacks.values() if part]
    plugins = [WholeCheckpoints(), *instantiate(cfg.trainer.get("plugins") or [], _convert_="all")]
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            logger.log_hyperparams(OmegaConf.to_container(cfg, resolve=True, throw_on_missing=False))  # type: ignore[arg-type]
    trainer: pl.Trainer = instantiate(
        cfg.trainer, logger=loggers or False, callbacks=[*callbacks, *more], plugins=plugins, _convert_="all"
    )
    return trainer


def device_alone(cfg: DictConfig) -> torch.device:
    """Where a job computes that has no trainer: CUDA's device or the CPU. Raises NasError where there is no CUDA."""
    if cfg.trainer.accelerator not in ("gpu", "cuda"):
        return torch.device("cpu")
    _need_cuda(cfg)
    return torch.device("cuda")


def _need_cuda(cfg: DictConfig) -> None:
    if not torch.cuda.is_available():
        raise NasError(
            f"trainer.accelerator={cfg.trainer.accelerator}: PyTorch {torch.__version__} finds no GPU here; use "
            "trainer=cpu, or see that the driver and a PyTorch with CUDA are installed"
        )


def precision(cfg: DictConfig) -> str:
    """Lightning's full name of the precision that is asked for."""
    asked = str(cfg.trainer.get("precision") or "32-true")
    return {"16": "16-mixed", "bf16": "bf16-mixed", "32": "32-true", "64": "64-true"}.get(asked, asked)


def finish_wandb() -> None:
    """Closes a W&B run, so that the next job of a sweep begins its own."""
    wandb: Any = sys.modules.get("wandb")
    if wandb is not None and wandb.run is not None:
        wandb.finish(exit_code=1 if sys.exc_info()[0] else 0)
