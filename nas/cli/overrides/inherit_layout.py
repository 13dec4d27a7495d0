"""Layout of a network in a single-path space: that of the search that found its genotype."""

from __future__ import annotations

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
LAYOUT = ("widths", "depths", "strides", "stem_width", "stem_stride", "first_width", "head")


def inherit_layout(directory: Path, arguments: list[str]) -> list[str]:
    """Return overrides of ``network`` for the sizes in which the space of a search differs from its default.

    A training has these overrides itself. Sizes on the command line take precedence. The record of the run is
    untrusted: only whole numbers and lists of them are accepted.
    """
    if not config_file(directory).is_file():
        return []
    config = saved_config(directory)
    return [
        f"network.{key}={str(value).replace(' ', '')}"
        for key, value in (_searched(config.get("space")) | _trained(config.get("network"))).items()
        if _is_size(value) and value_of(arguments, f"network.{key}") is None
    ]


def _searched(space: Any) -> dict[str, Any]:
    """Return the sizes of the space of a search that differ from the default."""
    name = SPACES.get(str(space.get("_target_"))) if isinstance(space, dict) else None
    if name is None:
        return {}
    default: dict[str, Any] = yaml.safe_load((CONF / "space" / f"{name}.yaml").read_text(encoding="utf-8"))
    return {key: space[key] for key in LAYOUT if key in default and space.get(key, default[key]) != default[key]}


def _trained(network: Any) -> dict[str, Any]:
    """Return the sizes of the network of a training that were set."""
    return {key: network[key] for key in LAYOUT if network.get(key) is not None} if isinstance(network, dict) else {}


def _is_size(value: Any) -> bool:
    if isinstance(value, list):
        return len(value) < 1000 and all(map(_is_size, value)) and not any(isinstance(part, list) for part in value)
    return type(value) is int
