"""Flat values of a composed search, and a table of published ones."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

LOCAL = {
    *("directory", "download", "num_workers", "on_device", "root", "seed"),
    *("split_record", "subset", "subset_file", "subset_seed"),
    *("test_folder", "test_fraction", "test_seed", "test_list", "test_list_file"),
}
"""Options of a machine or of a single run."""
NO_VALUES = {"_partial_", "fused", "name", "requires", "space", *LOCAL}


def flatten(value: Any, key: str = "") -> dict[str, Any]:
    """Flatten nested options to ``{"a.0.b": value}``; ``_target_`` becomes the class name at its parent's key."""
    if isinstance(value, list) and value and all(isinstance(part, Mapping) for part in value):
        value = {str(i): part for i, part in enumerate(value)}
    if not isinstance(value, Mapping):
        return {key: value}
    found: dict[str, Any] = {}
    for name, part in value.items():
        if name == "_target_":
            found[key or "class"] = part.rpartition(".")[2]
        elif name not in NO_VALUES:
            found |= flatten(part, f"{key}.{name}" if key else str(name))
    return found


def rates(scheduler: Any, optimizer: Any, epochs: int) -> list[float]:
    """Return the learning rate of the first epoch, of the middle of the run, and at its end."""
    sgd = optimizer([torch.nn.Parameter(torch.zeros(1))])
    law = None if scheduler is None else scheduler(sgd)
    found = []
    sgd.step()
    for _ in range(epochs + 1):
        found.append(float(sgd.param_groups[0]["lr"]))
        if law is not None:
            law.step()
    return [float(f"{value:.6g}") for value in (found[0], found[epochs // 2], found[-1])]


def values_of(cfg: DictConfig) -> dict[str, Any]:
    """Return all values of a composed search that a publication determines."""
    method: Any = OmegaConf.to_container(cfg.method, resolve=True)
    found = flatten(method)
    found |= flatten(OmegaConf.to_container(cfg.space, resolve=True), "space")
    found |= flatten(OmegaConf.to_container(cfg.dataset, resolve=True), "dataset")
    found |= {"space": cfg.space.name, "epochs": cfg.epochs, "seed": cfg.seed}
    if "weight_step" in method:
        step = instantiate(cfg.method.weight_step, perturbation=None, _convert_="all")
        found["learning_rates"] = rates(step.scheduler, step.optimizer, cfg.epochs)
    return found


def expand(table: Mapping[str, Mapping[str, Any]], name: str, values: Mapping[str, Any] = MappingProxyType({})) -> Any:
    """Return ``values`` with the changes of an entry.

    The entries that it is ``like`` come first. Then the keys below ``without`` are removed, and its own are added.
    """
    entry = dict(table[name])
    for like in entry.pop("like", []):
        values = expand(table, like, values)
    without = entry.pop("without", [])
    kept = {k: v for k, v in values.items() if not any(k == prefix or k.startswith(f"{prefix}.") for prefix in without)}
    return {**kept, **entry}
