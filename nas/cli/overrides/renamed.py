"""Configuration keys and values of earlier versions, with the names that replace them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from nas.cli.overrides.renamed_experiments import EXPERIMENTS
from nas.utils.errors import NasError

RENAMED = {
    "callbacks.entropy": "callbacks.entropy_collapse",
    "callbacks.finite": "callbacks.stop_on_nan",
    "callbacks.pictures": "callbacks.cell_plots",
    "callbacks.ranks": "callbacks.rank_check",
    "callbacks.record": "callbacks.history",
    "callbacks.skips": "callbacks.skip_collapse",
    "callbacks.timer": "callbacks.step_timer",
    "callbacks=monitors": "callbacks=collapse_monitors",
    "dataset.broken": "dataset.on_broken_image",
    "dataset.portions": "dataset.subset_fractions",
    "dataset.resident": "dataset.on_device",
    "dataset.split=xvalid": "dataset.split=nas_bench_201",
    "dataset.workers": "dataset.num_workers",
    "evaluator.length": "evaluator.scheduler_epochs_arg",
    "evaluator.report": "evaluator.report_epochs",
    "evaluator.run": "evaluator.supernet_dir",
    "evaluator.score": "evaluator.proxy",
    "evaluator.trial": "evaluator.benchmark_seed",
    "export.normalise": "export.normalize",
    "format": "export.format",
    "initial": "init_weights",
    "method.arch_clip_norm": "method.arch_step.clip_norm",
    "method.arch_optimizer": "method.arch_step.optimizer",
    "method.batch_arch_steps": "method.arch_step.per_batch",
    "method.clip_norm": "method.weight_step.clip_norm",
    "method.clip_scope": "method.weight_step.clip_params",
    "method.clip_scope=all_stale": "method.weight_step.clip_params=all_accumulated",
    "method.count": "ranking.count",
    "method.derive": "method.discretization",
    "method.derive.*.most": "method.discretization.*.max_skips",
    "method.derive.least": "method.discretization.threshold",
    "method.derive.rule": "method.discretization.keep",
    "method.edge.drop": "method.edge.drop_path_prob",
    "method.edge.factor": "method.edge.scale",
    "method.edge.law": "method.edge.distribution",
    "method.edge.mixing": "method.edge.mode",
    "method.edge.portion": "method.edge.channel_divisor",
    "method.gradient": "method.arch_step.gradient",
    "method.hw_nas_bench": "method.costs.hw_nas_bench",
    "method.idle_decay": "method.weight_step.decay_unsampled_weights",
    "method.indices": "ranking.indices",
    "method.latency_table": "method.costs.latency_table",
    "method.needs": "method.requires",
    "method.network": "ranking.network",
    "method.network_options": "method.costs.network",
    "method.order": "method.step_order",
    "method.perturbation": "method.weight_step.perturbation",
    "method.relaxation.anchor": "method.relaxation.regularizer",
    "method.relaxation.norm": "method.relaxation.zero_one_loss",
    "method.relaxation.strength": "method.relaxation.reg_scale or method.relaxation.zero_one_weight",
    "method.report": "ranking.report",
    "method.resource": "method.arch_step.resource",
    "method.resource.least": "method.arch_step.resource.min_macs",
    "method.resource.weigh": "method.arch_step.resource.estimator",
    "method.reward": "method.arch_step.reward",
    "method.sample_seed": "ranking.sample_seed",
    "method.scheduler": "method.weight_step.scheduler",
    "method.scheduler.law": "method.weight_step.scheduler.schedule",
    "method.scheduler.restart": "method.weight_step.scheduler.projection_lr",
    "method.scheduler.restart_min": "method.weight_step.scheduler.projection_lr_min",
    "method.scheduler.supernet": "method.weight_step.scheduler.supernet_epochs",
    "method.scheduler.tune": "method.weight_step.scheduler.projection_epochs",
    "method.scheduler.warmup": "method.weight_step.scheduler.warmup_epochs",
    "method.schedules": "method.callbacks",
    "method.schedules.*.portions": "method.callbacks.*.channel_divisors",
    "method.schedules.*.supernet": "method.callbacks.*.supernet_epochs",
    "method.schedules.*.tune": "method.callbacks.*.projection_epochs",
    "method.score": "ranking.proxy",
    "method.scores": "method.proxies",
    "method.single_level": "method.arch_step.single_level",
    "method.stale": "method.stale_reference",
    "method.warmup_epochs": "method.arch_step.warmup_epochs",
    "method.weight_optimizer": "method.weight_step.optimizer",
    "method=scan": "mode=rank_proxies",
    "score": "proxy",
    "training.channels_last": "channels_last",
    "training.scheduler.by": "training.scheduler.interval",
    "training.scheduler.law": "training.scheduler.schedule",
    "training.scheduler.rest": "training.scheduler.final_epochs_at_min",
    "training.scheduler.start": "training.scheduler.warmup_start_lr",
    "training.scheduler.tail": "training.scheduler.slow_tail_epochs",
    "training.scheduler.warmup": "training.scheduler.warmup_epochs",
}
"""Old name -> new name, sorted. A row is a dotted key, which covers all keys below it, or key=value. ``*`` stands for
one part of a key (a position in a list). "A or B": the new name depends on the method."""


def renamed(key: str, value: str | None = None, cfg: DictConfig | None = None) -> NasError | None:
    """Return the error for a name of an earlier version, None for any other name.

    Args:
        key: a dotted key or the name of a group, without a prefix.
        value: the value given to it as text, None if unknown.
        cfg: the composed configuration, which decides between the alternatives of a row.
    """
    row = lookup(key, value)
    if row is None:
        return None
    old, alternatives = row
    if cfg is not None:
        alternatives = [name for name in alternatives if _exists(cfg, name)] or alternatives
    return NasError(f"{old} was renamed to {' or '.join(alternatives)}")


def lookup(key: str, value: str | None = None) -> tuple[str, list[str]] | None:
    """Return the longest old name that covers ``key`` (or ``key=value``) and what replaces it, None if none does."""
    if key == "experiment" and value in EXPERIMENTS:
        return f"{key}={value}", [EXPERIMENTS[value]]
    if value is not None and f"{key}={value}" in RENAMED:
        return f"{key}={value}", [RENAMED[f"{key}={value}"]]
    parts = key.split(".")
    for length in range(len(parts), 0, -1):
        row = _row(parts[:length])
        if row is not None:
            below = "".join(f".{part}" for part in parts[length:])
            return key, [name + below for name in row.split(" or ")]
    return None


def translate(argument: str) -> list[str]:
    """Return the overrides of this version for one of an earlier version; any other override stays as it is.

    Raises:
        NasError: if the new name is ambiguous.
    """
    prefix, key, equals, value = re.fullmatch(r"([+~]*)([^=]*)(=?)(.*)", argument, re.DOTALL).groups()  # type: ignore[union-attr]
    row = lookup(key, value.strip("'\""))
    if row is None:
        return [argument]
    old, alternatives = row
    if len(alternatives) > 1:
        raise NasError(f"{old} was renamed to {' or '.join(alternatives)}")
    if key == "experiment":
        return alternatives[0].split()
    return [prefix + alternatives[0] + ("" if "=" in old else equals + value)]


def translate_keys(part: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options below the key ``part`` of an earlier version by their names and values of this version."""
    translated = {}
    for name, value in options.items():
        override = f"{part}.{name}={value}" if isinstance(value, str) else f"{part}.{name}"
        key, equals, text = translate(override)[0].partition("=")
        translated[key.removeprefix(f"{part}.")] = text if equals else value
    return translated


def has_old_names(cfg: DictConfig) -> bool:
    """Return whether a configuration, such as that in the record of a run, has names of an earlier version."""
    try:
        refuse_renamed(cfg)
    except NasError:
        return True
    return False


def refuse_renamed(cfg: DictConfig) -> None:
    """Raise NasError for the first old name in a composed configuration, such as that of a user's yaml file."""
    for key, value in _entries(cfg):
        row = lookup(key, value)
        if row is not None and row[0] in (key, f"{key}={value}"):
            error = renamed(key, value, cfg)
            assert error is not None
            raise error


def _row(parts: Sequence[str]) -> str | None:
    """Return the new name for exactly these parts, with the ``*`` of its row filled in."""
    name = RENAMED.get(".".join(parts))
    if name is not None:
        return name
    for position, part in enumerate(parts):
        name = RENAMED.get(".".join([*parts[:position], "*", *parts[position + 1 :]]))
        if name is not None:
            return name.replace("*", part)
    return None


def _exists(cfg: DictConfig, name: str) -> bool:
    key, _, value = name.partition("=")
    parent, _, leaf = key.rpartition(".")
    node = OmegaConf.select(cfg, parent, throw_on_resolution_failure=False) if parent else cfg
    return (isinstance(node, DictConfig) and leaf in node) or isinstance(node, ListConfig)


def _entries(node: Any, prefix: str = "") -> Iterator[tuple[str, str | None]]:
    """Yield each dotted key of a configuration, with its value if that is text; interpolations are not followed.

    Options of classes outside this package are left out: they may have any name.
    """
    keys = range(len(node)) if isinstance(node, ListConfig) else [key for key in node if (prefix, key) != ("", "hydra")]
    target = str(node._get_node("_target_")) if isinstance(node, DictConfig) and "_target_" in node else "nas."
    for key in keys:
        child = node._get_node(key)
        name = f"{prefix}{key}"
        value = child._value() if child is not None else None
        if target.startswith("nas."):
            yield name, value if isinstance(value, str) else None
        if isinstance(child, DictConfig | ListConfig) and not (child._is_none() or child._is_interpolation()):
            yield from _entries(child, f"{name}.")
