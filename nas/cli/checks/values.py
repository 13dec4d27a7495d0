"""Checks of single values in the composed configuration."""

from __future__ import annotations

from omegaconf import DictConfig, OmegaConf

from nas.utils.errors import NasError


def check_grid(cfg: DictConfig, sweeping: bool) -> None:
    """Raise NasError if ``hparams_search`` is chosen without -m, which would run one job and ignore the grid."""
    chosen = cfg.hydra.runtime.choices.get("hparams_search")
    if chosen is not None and not sweeping:
        raise NasError(f"hparams_search={chosen}: a grid runs several jobs. Use -m hparams_search={chosen}.")


def check_config(cfg: DictConfig) -> None:
    """Raise NasError for values of the right type that no run can have."""
    unnamed = "training" in cfg and (OmegaConf.is_missing(cfg, "genotype") or cfg.genotype is None)
    if unnamed and cfg.get("weights") is None:
        raise NasError(
            "genotype is missing: python train.py genotype=X with X the run directory of a search, a genotype.json, a "
            "published name, or a native string in quotes"
        )
    if type(cfg.seed) is not int or not 0 <= cfg.seed < 2**32:
        raise NasError(f"seed={cfg.seed}: give a whole number from 0 to {2**32 - 1}.")
    for key, value in (("epochs", cfg.epochs), ("trainer.max_epochs", cfg.trainer.max_epochs)):
        if type(value) is not int or value < 1:
            raise NasError(f"{key}={value}: give a whole number of epochs, at least 1.")
    check_trainer(cfg)


def check_trainer(cfg: DictConfig) -> None:
    """Raise NasError for options of the trainer that have another key in a search or a training."""
    job, part, scope = "training", "training", ""
    if "method" in cfg:
        job, part, scope = "search", "method.weight_step", " (and method.weight_step.clip_params)"
    clip = cfg.trainer.get("gradient_clip_val")
    if clip is not None:
        raise NasError(
            f"trainer.gradient_clip_val={clip}: a {job} clips gradients in its own steps. Use "
            f"{part}.clip_norm={clip}{scope}."
        )
    accumulated = cfg.trainer.get("accumulate_grad_batches", 1)
    if job == "search" and accumulated not in (None, 1):
        raise NasError(
            f"trainer.accumulate_grad_batches={accumulated}: a bilevel step takes one batch of each half. Use "
            "dataset.batch_size."
        )
