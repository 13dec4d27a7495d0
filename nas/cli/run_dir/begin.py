"""First output of a job: its form on the console, and its configuration."""

from __future__ import annotations

from typing import Any

import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from nas.cli.run_dir.ranks import is_first_rank
from nas.cli.run_dir.terminal import console_handler, is_terminal

PLAIN_WIDTH = 200  # columns of the printed configuration outside of a terminal
TITLES = {"search": "search", "train": "training"}


def begin_output(cfg: DictConfig) -> None:
    """Print the configuration if ``extras.print_config`` is true, and begin the panel of a search or training.

    Only the first rank of a distributed run has this output.
    """
    if not is_first_rank():
        return
    if OmegaConf.select(cfg, "extras.print_config", default=False):
        print_config(cfg)
    handler = console_handler()
    if handler is None:
        return
    handler.short = HydraConfig.get().mode == RunMode.MULTIRUN
    if cfg.mode in TITLES and cfg.get("seeds") is None:
        handler.begin(_title(cfg))


def print_config(cfg: DictConfig) -> None:
    """Print the configuration with all interpolations resolved as a tree, one branch per group."""
    from rich.console import Console
    from rich.syntax import Syntax
    from rich.text import Text
    from rich.tree import Tree

    options: Any = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=False)
    tree, yaml_syntax = Tree("configuration"), Syntax("", "yaml", theme="ansi_dark", background_color="default")
    for name, value in options.items():
        text = yaml.safe_dump(value, sort_keys=False, width=10_000).removesuffix("...\n")
        if isinstance(value, dict) and value:
            tree.add(name).add(yaml_syntax.highlight(text.rstrip()))
        else:
            tree.add(Text(f"{name}: {text.rstrip()}"))
    Console(width=None if is_terminal() else PLAIN_WIDTH).print(tree)


def _title(cfg: DictConfig) -> str:
    """Return the kind of the run, with the method and space of a search and the data set."""
    method = f": {cfg.method.name} in {cfg.space.name}" if cfg.mode == "search" else ""
    return f"{TITLES[cfg.mode]}{method} on {HydraConfig.get().runtime.choices['dataset']}"
