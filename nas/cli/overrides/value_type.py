"""Types of configuration values, by the default of their key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, ListConfig

from nas.utils.errors import one_line

PER_CHANNEL = ("dataset.mean", "dataset.std")  # of synthetic images: one number for all channels, or one per channel

AUTO = "auto"
AUTOMATIC = ("dataset.batch_size", "cuda_graphs", "callbacks.cuda_graphs.mode")
"""Values that a run can choose itself, if they are ``AUTO``."""
LABELS = ("run_name", "group", "job_type", "genotype_name", "tags")
"""Names of a run."""
NAMED = ("trainer.strategy",)
"""Parts that are given by keys, or by a name instead."""
NEGATIVE = ("callbacks.checkpoint.save_top_k",)
"""Whole numbers that may be negative although their default is not."""


def wanted_type(key: str, default: Any, value: Any) -> str | None:
    """Return the kind of value that ``key`` takes if ``value`` is of another kind; Lightning checks its own options."""
    if key.startswith("paths."):
        return None if isinstance(value, str) and value else "a path (./1 if its name is a number)"
    if key in LABELS:
        return _wanted_label(key, value)
    if isinstance(default, DictConfig | dict) and _is_node(key, default) and not isinstance(value, dict):
        name = next((str(name) for name in default if not str(name).startswith("_")), "NAME")
        return f"keys (such as {key}.{name}=VALUE)" if value is not None or "." not in key else None
    if value is None or default is None or _is_reference(value):
        return None
    if key in AUTOMATIC and value == AUTO:
        return None
    if key.startswith("trainer.") and key != "trainer.max_epochs":
        return None
    if key in PER_CHANNEL and isinstance(value, list):
        return None
    if isinstance(default, bool):
        return None if isinstance(value, bool) else "true or false"
    if isinstance(default, int | float):
        return _wanted_number(key, default, value)
    if isinstance(default, ListConfig | list):
        return None if isinstance(value, list) else f"a list (such as {one_line(default)})"
    return None


def _wanted_number(key: str, default: float, value: Any) -> str | None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(default, float):
        return None if number else f"a number (such as {default})"
    if number and value < 0 <= default and key not in NEGATIVE:
        return "a whole number, not below 0"
    return None if number and (isinstance(value, int) or value.is_integer()) else f"a whole number (such as {default})"


def _wanted_label(key: str, value: Any) -> str | None:
    if key != "tags":
        return "text" if isinstance(value, bool | list | dict) else None
    listed = isinstance(value, list) and not any(isinstance(tag, list | dict) for tag in value)
    return None if listed or value is None or _is_reference(value) else "a list of texts (such as [baseline])"


def _is_reference(value: Any) -> bool:
    return isinstance(value, str) and "${" in value


def _is_node(key: str, default: Any) -> bool:
    """Return whether a mapping of the configuration has its own keys; other mappings list values per space."""
    return key not in NAMED and ("." not in key or "_target_" in default)


def wanted_type_in_record(key: str, default: Any, value: Any) -> str | None:
    """Return the kind of value that ``key`` takes if the value in the record of a run is of another kind.

    Stricter than ``wanted_type``: a list or a mapping does not replace a single value.
    """
    wanted = wanted_type(key, default, value)
    if wanted is not None or value is None or default is None:
        return wanted
    if isinstance(default, DictConfig | dict):
        return None  # a single value may replace one per space (method.ntk_batch of TE-NAS)
    lists = key in PER_CHANNEL or key.startswith("trainer.") or isinstance(default, ListConfig | list)
    return "a single value" if isinstance(value, dict if lists else dict | list) else None


def output_keys(content: Any, prefix: str = "") -> Iterator[str]:
    """Yield the dotted keys of an unresolved configuration that name where a run writes."""
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for name, value in items:
        key = f"{prefix}{name}"
        if isinstance(value, str) and ("${paths.output}" in value or "runtime.output_dir" in value):
            yield key
        elif key != "hydra":
            yield from output_keys(value, f"{key}.")


def values_set(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the dotted keys and values that an override sets: its own, and those of a mapping that it merges."""
    yield key, value
    if isinstance(value, dict):
        for name, part in value.items():
            yield from values_set(f"{key}.{name}", part)
