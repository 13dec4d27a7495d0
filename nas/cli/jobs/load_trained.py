"""The trained network that a configuration names, and the data that it is looked at with."""

from __future__ import annotations

import logging
from dataclasses import replace

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from nas.cli.build import network_options
from nas.cli.overrides.parse import value_of
from nas.data.base import ImageData
from nas.deploy.resolve import ResolvedModel, resolve_model
from nas.utils.errors import NasError

log = logging.getLogger(__name__)


def trained(cfg: DictConfig, data: ImageData) -> ResolvedModel:
    """The network with its weights; ``data`` then normalizes as in its training, unless the command line says how.

    Raises NasError where there is none, or it is for other images or classes than those of ``data``.
    """
    genotype = None if OmegaConf.is_missing(cfg, "genotype") else cfg.genotype
    found = resolve_model(
        genotype, cfg.weights, lambda space: network_options(space, cfg.network, {}), data.shape, data.classes
    )
    model, name = found.model, HydraConfig.get().runtime.choices["dataset"]
    hint = f" (it was trained on {model.dataset})" if model.dataset else ""
    if model.classes != data.classes:
        raise NasError(
            f"weights: {found.path} tells {model.classes} classes apart, dataset={name} has {data.classes}: choose the "
            f"data set that it was trained on{hint}"
        )
    if model.shape[0] != data.shape[0]:
        raise NasError(
            f"weights: {found.path} is for images of {_sides(model.shape)}, dataset={name} has {_sides(data.shape)}: "
            f"choose the data set that it was trained on{hint}"
        )
    given = HydraConfig.get().overrides.task
    asked = any(value_of(given, f"dataset.{key}") for key in ("mean", "std"))
    if asked or model.mean is None or model.std is None:
        return ResolvedModel(replace(model, mean=data.mean, std=data.std), found.path, found.kind)
    if (model.mean, model.std) != (data.mean, data.std):
        log.info("normalization  that of the training, mean %s std %s", list(model.mean), list(model.std))
        data.mean, data.std = model.mean, model.std
    return found


def _sides(shape: tuple[int, int, int]) -> str:
    return "x".join(map(str, shape))
