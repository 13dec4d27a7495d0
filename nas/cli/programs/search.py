"""Program ``nas-search``: search for an architecture, or rank architectures by a zero-cost proxy."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

import hydra
from omegaconf import DictConfig

from nas.cli.command_list import COMMANDS
from nas.cli.main import launch, run_with_error_handling
from nas.cli.overrides.conf_dir import CONF
from nas.utils.one_line_errors import one_line_errors


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="search")
def _hydra_main(cfg: DictConfig) -> float | None:
    return run_with_error_handling(cfg)


@one_line_errors
def _run_command(arguments: Sequence[str] | None = None) -> int:
    """Import and run the command that the first argument of the process names."""
    code: int = importlib.import_module(COMMANDS[sys.argv[1]].module).main(arguments)
    return code


def main() -> None:
    """Run a search, or the command that the first argument names, with the arguments of the process."""
    if sys.argv[1:] and sys.argv[1] in COMMANDS:
        raise SystemExit(_run_command(sys.argv[2:]))
    launch(_hydra_main, "search")
