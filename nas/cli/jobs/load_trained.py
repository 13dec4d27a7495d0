"""Loading of the trained network that a configuration names."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from omegaconf import DictConfig, OmegaConf

from nas.cli.build import dataset_name, network_options
from nas.cli.checks.inputs import check_genotype_inputs
from nas.cli.overrides.parse import value_of
from nas.cli.run_dir.task_overrides import task_overrides
from nas.data.base import ImageData
from nas.data.text.base import TextData
from nas.deploy.resolve import ResolvedModel, resolve_model
from nas.spaces.base import Space
from nas.spaces.notation import native_string
from nas.utils.errors import NasError

log = logging.getLogger(__name__)


def load_trained(cfg: DictConfig, data: ImageData) -> ResolvedModel:
    """Load the network, and let ``data`` normalize images as in its training unless the command line sets mean or std.

    Raises:
        NasError: if there is no such network, or its images or classes do not match ``data``.
    """
    resolved = _resolve(cfg, data)
    model, name = resolved.model, dataset_name()
    fix = f"Use dataset={model.dataset}." if model.dataset else "Use the data set that the network was trained on."
    if model.classes != data.classes:
        raise NasError(
            f"weights={resolved.path}: trained with {model.classes} classes, but dataset={name} has "
            f"{data.classes}. {fix}"
        )
    if model.shape[0] != data.shape[0]:
        raise NasError(
            f"weights={resolved.path}: trained on images of {_size(model.shape)}, but dataset={name} has "
            f"{_size(data.shape)}. {fix}"
        )
    overrides = task_overrides()
    given = any(value_of(overrides, f"dataset.{key}") for key in ("mean", "std"))
    if given or model.mean is None or model.std is None:
        return ResolvedModel(replace(model, mean=data.mean, std=data.std), resolved.path, resolved.kind)
    if (model.mean, model.std) != (data.mean, data.std):
        log.info("normalization  as in the training, mean %s std %s", list(model.mean), list(model.std))
        data.mean, data.std = model.mean, model.std
    return resolved


def _resolve(cfg: DictConfig, data: ImageData | TextData) -> ResolvedModel:
    """Load the network. Raise NasError if there is none, or it has other inputs than ``data``."""
    genotype = None if OmegaConf.is_missing(cfg, "genotype") else cfg.genotype
    resolved = resolve_model(
        genotype, cfg.weights, lambda space: network_options(space, cfg, {}), data.shape, data.classes
    )
    model = resolved.model
    check_genotype_inputs(native_string(model.genotype), model.space, dataset_name(), data.inputs)
    return resolved


def model_figures(resolved: ResolvedModel, space: Space) -> dict[str, Any]:
    """Return the entries of summary.json that name a trained network and the data set.

    Args:
        resolved: the network.
        space: space of its genotype, for the shape of the data set.
    """
    return {
        "genotype": space.native(resolved.model.genotype),
        "space": space.name,
        "weights": str(resolved.path),
        "weights_kind": resolved.kind,
        "dataset": dataset_name(),
    }


def _size(shape: tuple[int, int, int]) -> str:
    return "x".join(map(str, shape))


def load_language_model(cfg: DictConfig, data: TextData) -> ResolvedModel:
    """Load the language model that a configuration names.

    Raises:
        NasError: if there is no such network, or its words are not those of ``data`` in the same order.
    """
    resolved = _resolve(cfg, data)
    model, name = resolved.model, dataset_name()
    if model.classes != data.classes or (model.class_names and model.class_names != data.class_names):
        raise NasError(
            f"weights={resolved.path}: trained with another vocabulary ({model.classes:,} words) than that of "
            f"dataset={name} ({data.classes:,} words). Use dataset={model.dataset}, with the same files."
        )
    return resolved
