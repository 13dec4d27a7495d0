"""Layout of a network: that of the search that found its genotype."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from nas.cli.overrides.conf_dir import CONF
from nas.cli.overrides.parse import value_of
from nas.cli.overrides.run_record import config_file, saved_config

SPACES = {
    "nas.spaces.single_path.mobilenet_v2.MobileNetV2Space": "mobile",
    "nas.spaces.single_path.shufflenet_v2.ShuffleNetV2Space": "shufflenet",
}
"""Single-path spaces by class, with the file of their default layout."""
KEY = "searched_network"
"""Key of the configuration with the inherited options; those of ``network`` that are not null take precedence."""
LAYOUT = ("widths", "depths", "strides", "stem_width", "stem_stride", "first_width", "head")


def inherit_layout(directory: Path, arguments: list[str]) -> list[str]:
    """Return overrides of ``KEY`` for the final network of a search, if it differs from the published one.

    They are the options of ``searched_network``, except those that the command line sets. A protocol has a network of
    its own, which replaces ``budget.network``.
    """
    options = searched_network(directory, limited=value_of(arguments, "protocol") is None)
    given = [key for key in options if any(value_of(arguments, f"{group}.{key}") for group in ("network", KEY))]
    return [f"++{KEY}.{key}={str(value).replace(' ', '')}" for key, value in options.items() if key not in given]


def searched_network(directory: Path, limited: bool = True) -> dict[str, Any]:
    """Return the options of the final network of a search that differ from the published ones.

    They are the sizes in which a single-path space differs from its default and, with ``limited``, the options
    ``budget.network``, whose costs were limited. A training records those of its search. The record of the run is
    untrusted: only numbers, truth values, words and lists of whole numbers are accepted.
    """
    if not config_file(directory).is_file():
        return {}
    config = saved_config(directory)
    sizes = _searched(config.get("space")) | _sizes(config.get(KEY)) | _sizes(config.get("network"))
    layout = {key: value for key, value in sizes.items() if _is_size(value)}
    if not limited:
        return layout
    budget = config.get("budget")
    return _plain(config.get(KEY)) | layout | _plain(budget.get("network") if isinstance(budget, dict) else None)


def _searched(space: Any) -> dict[str, Any]:
    """Return the sizes of the space of a search that differ from the default."""
    name = SPACES.get(str(space.get("_target_"))) if isinstance(space, dict) else None
    if name is None:
        return {}
    default: dict[str, Any] = yaml.safe_load((CONF / "space" / f"{name}.yaml").read_text(encoding="utf-8"))
    return {key: space[key] for key in LAYOUT if key in default and space.get(key, default[key]) != default[key]}


def _plain(network: Any) -> dict[str, Any]:
    """Return the options of a recorded network that have plain names and values."""
    given = network.items() if isinstance(network, dict) else ()
    return {key: value for key, value in given if re.fullmatch(r"[a-z]\w{0,40}", str(key)) and _is_plain(value)}


def _sizes(network: Any) -> dict[str, Any]:
    """Return the sizes of a recorded network that are set."""
    return {key: network[key] for key in LAYOUT if network.get(key) is not None} if isinstance(network, dict) else {}


def _is_plain(value: Any) -> bool:
    return isinstance(value, int | float) or bool(re.fullmatch(r"[a-z]\w{0,40}", str(value))) or _is_size(value)


def _is_size(value: Any) -> bool:
    if isinstance(value, list):
        return len(value) < 1000 and all(map(_is_size, value)) and not any(isinstance(part, list) for part in value)
    return type(value) is int
