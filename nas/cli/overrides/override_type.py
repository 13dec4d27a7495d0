"""Checks of the types of overrides against the defaults of their keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from nas.cli.overrides.hydra_internals import Override
from nas.cli.overrides.parse import quote_for_shell
from nas.cli.overrides.value_type import values_set, wanted_type
from nas.utils.errors import NasError


def check_type(defaults: DictConfig, part: Override, wanted_kind: Callable[[str, Any, Any], str | None]) -> None:
    """Raise NasError if the type of a value, or of a value in a mapping, is not that of the default of its key."""
    if part.is_delete() or part.is_sweep_override():
        return
    for key, value in values_set(part.key_or_group, part.value()):
        if not has_key(defaults, key):
            continue
        default = OmegaConf.select(defaults, key, throw_on_missing=False, throw_on_resolution_failure=False)
        wanted = wanted_kind(key, default, value)
        if wanted:
            raise NasError(f"{str(part.input_line).lstrip('+')}: {key} takes {wanted}.")


def check_resolved_text(defaults: DictConfig, cfg: DictConfig, part: Override) -> None:
    """Raise NasError for an interpolation that resolves to text, as ``${oc.env:X}`` does, if the key takes no text."""
    if part.is_delete() or part.is_sweep_override():
        return
    for key, value in values_set(part.key_or_group, part.value()):
        if not (isinstance(value, str) and "${" in value and has_key(defaults, key)):
            continue
        default, text = (
            OmegaConf.select(each, key, throw_on_missing=False, throw_on_resolution_failure=False)
            for each in (defaults, cfg)
        )
        wanted = wanted_type(key, default, text) if isinstance(text, str) else None
        if wanted:
            fix = f"Decode it: {quote_for_shell(key, f'${{oc.decode:{value}}}')}"
            raise NasError(f"{key}={value}: {key} takes {wanted}, and the value is the text '{text}'. {fix}")


def has_key(cfg: DictConfig, key: str) -> bool:
    """Return whether a configuration has a dotted key."""
    parent, _, leaf = key.rpartition(".")
    node: Any = OmegaConf.select(cfg, parent, throw_on_resolution_failure=False) if parent else cfg
    if isinstance(node, ListConfig):
        return leaf.isdigit() and int(leaf) < len(node)
    return isinstance(node, DictConfig) and leaf in list(node.keys())
