"""Relative paths in a configuration, for jobs whose working directory Hydra changes (``hydra.job.chdir=true``)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, ListConfig, Node, open_dict, read_write

from nas.cli.overrides.parse import TEXTS

OUTPUTS = ("paths.data", "paths.benchmark", "paths.output", "export.file", "ckpt_path")
"""Keys whose value is a path, whether it exists or not."""
NAMES = (
    "root",
    "file",
    "directory",
    "dirpath",
    "folder",
    "save_dir",
    "default_root_dir",
    "supernet_dir",
    "subset_file",
    "latency_table",
)
"""Last parts of keys whose value is a path, in any part of the configuration."""


def original_directory() -> chdir[str]:
    """Return a context in which the working directory is that of the command line."""
    return chdir(HydraConfig.get().runtime.cwd)


def make_paths_absolute(cfg: DictConfig) -> None:
    """Make the relative paths of a configuration absolute if Hydra has changed the working directory.

    They refer to the directory of the command line. Values that may be a name or a path, such as ``genotype``, are
    paths if they exist.
    """
    start = HydraConfig.get().runtime.cwd
    if os.path.abspath(start) == os.getcwd():
        return
    with read_write(cfg), open_dict(cfg):
        for node, name, key in list(_texts(cfg, "")):
            value = os.path.expanduser(node._get_node(name)._value())
            is_output = key in OUTPUTS or (name in NAMES and not os.path.isabs(value))
            is_input = (key in TEXTS or os.sep in value or name in NAMES) and Path(start, value).exists()
            if is_output or is_input:
                node[name] = os.path.join(start, value)


def _texts(node: Any, prefix: str) -> Iterator[tuple[Any, Any, str]]:
    """Yield container, name and dotted key of each text of a configuration that is no interpolation."""
    if node._is_none() or node._is_missing() or node._is_interpolation():
        return
    names: Iterable[Any] = list(node.keys()) if isinstance(node, DictConfig) else range(len(node))
    for name in names:
        child = node._get_node(name)
        if isinstance(child, DictConfig | ListConfig):
            yield from _texts(child, f"{prefix}{name}.")
        elif isinstance(child, Node) and isinstance(child._value(), str) and _is_plain(child) and name != "_target_":
            yield node, name, f"{prefix}{name}"


def _is_plain(node: Node) -> bool:
    return not node._is_interpolation() and not node._is_missing()
