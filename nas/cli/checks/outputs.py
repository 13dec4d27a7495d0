"""Output options that name a directory outside of the run directory."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

PARTS = ("callbacks", "method.callbacks", "logger.csv")
"""Parts of a configuration that write files of constant names, which a second run would overwrite."""
NAMES = ("directory", "dirpath", "save_dir")


def other_outputs(cfg: DictConfig, known: Collection[Path]) -> dict[str, Path]:
    """Return the directories outside of ``known`` that callbacks and the metrics file write to, by option.

    Args:
        cfg: the composed configuration; the resolver ``hydra`` must have a value.
        known: the directories of the run.
    """
    inside = [os.path.abspath(directory) for directory in known]
    outputs = {}
    for part in PARTS:
        node = OmegaConf.select(cfg, part, throw_on_resolution_failure=False)
        content = OmegaConf.to_container(node, resolve=False) if OmegaConf.is_config(node) else None
        for key in _keys(content, part):
            try:
                value = OmegaConf.select(cfg, key)
            except OmegaConfBaseException:
                continue  # the run reports it with its key
            if isinstance(value, str) and not any(Path(os.path.abspath(value)).is_relative_to(path) for path in inside):
                outputs[key] = Path(value)
    return outputs


def _keys(content: Any, key: str) -> Iterator[str]:
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for name, value in items:
        if name in NAMES and isinstance(value, str):
            yield f"{key}.{name}"
        else:
            yield from _keys(value, f"{key}.{name}")
