"""Check of Hydra's keywords in the configuration: _target_, _partial_, _recursive_, _convert_ and _args_."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from omegaconf import DictConfig, OmegaConf

from nas.utils.errors import NasError

CONVERSIONS = ("none", "partial", "object", "all")
KEYWORDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "_target_": (lambda value: isinstance(value, str) and value != "", "the dotted name of a class or function"),
    "_partial_": (lambda value: isinstance(value, bool), "true or false"),
    "_recursive_": (lambda value: isinstance(value, bool), "true or false"),
    "_convert_": (
        lambda value: str(value).lower() in CONVERSIONS and value is not None,
        ", ".join(CONVERSIONS[:-1]) + f" or {CONVERSIONS[-1]}",
    ),
    "_args_": (lambda value: isinstance(value, list), "a list"),
}
"""Test of the value of each keyword, and a description of its values."""


def check_keywords(cfg: DictConfig) -> None:
    """Raise NasError for a keyword with a value that Hydra does not accept, or for parts that are not built."""
    plain = OmegaConf.to_container(cfg, resolve=False)
    for key, name, value in _keywords(plain, ""):
        accepts, values = KEYWORDS[name]
        if not accepts(value) and not (isinstance(value, str) and "${" in value):
            shown = "null" if value is None else str(value).lower() if isinstance(value, bool) else value
            raise NasError(f"{key}{name}={shown}: it takes {values}. Leave it out, or correct it.")
    for key, node in _nodes(plain, ""):
        if node.get("_recursive_") is False and str(node.get("_target_")).startswith("nas.") and _has_parts(node):
            raise NasError(
                f"{key}_recursive_=false: {node['_target_']} needs its parts, not their options. Leave it out."
            )


def _keywords(node: Any, prefix: str) -> Iterator[tuple[str, str, Any]]:
    """Yield the key of a node with a dot, the keyword and its value."""
    for key, found in _nodes(node, prefix):
        for name in (name for name in found if name in KEYWORDS):
            yield key, name, found[name]


def _has_parts(node: dict[str, Any]) -> bool:
    return any("_target_" in part for value in node.values() for _, part in _nodes(value, ""))


def _nodes(node: Any, prefix: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each mapping with its key, which ends with a dot."""
    if isinstance(node, dict):
        yield prefix, node
    parts = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for name, value in parts:
        yield from _nodes(value, f"{prefix}{name}.")
