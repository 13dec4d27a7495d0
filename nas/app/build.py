"""From a composed configuration to objects."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf, open_dict
from pytorch_lightning.loggers import Logger, WandbLogger

from nas.data.images import ImageData
from nas.errors import NasError
from nas.searches.search import Search
from nas.spaces.space import Space


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
    """The search of a method on a space."""
    method = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "epochs"])
    method._set_parent(cfg._get_parent())
    search: Search = instantiate(method, space=space, _convert_="all")
    return search


def build_trainer(cfg: DictConfig) -> pl.Trainer:
    """The trainer with its loggers and callbacks."""
    if cfg.trainer.enable_progress_bar is None:
        with open_dict(cfg):
            cfg.trainer.enable_progress_bar = sys.stderr.isatty()
    loggers: list[Logger] = [instantiate(part, _convert_="all") for part in (cfg.logger or {}).values()]
    callbacks: list[pl.Callback] = [instantiate(part, _convert_="all") for part in cfg.callbacks.values()]
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            logger.log_hyperparams(OmegaConf.to_container(cfg, resolve=True, throw_on_missing=False))  # type: ignore[arg-type]
    trainer: pl.Trainer = instantiate(cfg.trainer, logger=loggers or False, callbacks=callbacks, _convert_="all")
    return trainer


def refuse_trainer_options(cfg: DictConfig) -> None:
    """Raises NasError for options of the trainer that a search keeps elsewhere."""
    if cfg.trainer.get("gradient_clip_val") is not None:
        raise NasError(
            f"trainer.gradient_clip_val={cfg.trainer.gradient_clip_val}: a search clips in its own steps; "
            f"use method.clip_norm={cfg.trainer.gradient_clip_val} (and method.clip_scope)"
        )
    if cfg.trainer.get("accumulate_grad_batches", 1) not in (None, 1):
        raise NasError(
            "trainer.accumulate_grad_batches: a bilevel step takes one batch of each half; use dataset.batch_size"
        )


def finish_wandb() -> None:
    """Closes a W&B run, so that the next job of a sweep begins its own."""
    wandb: Any = sys.modules.get("wandb")
    if wandb is not None and wandb.run is not None:
        wandb.finish(exit_code=1 if sys.exc_info()[0] else 0)
    os.environ.pop("WANDB_MODE", None)
