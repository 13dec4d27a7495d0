"""Command ``nas-search dashboard``."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from nas.cli.commands.dashboard.definition import SECTIONS
from nas.cli.commands.dashboard.workspace import build_workspace
from nas.utils.errors import NasError, one_line
from nas.utils.one_line_errors import one_line_errors
from nas.utils.program import program
from nas.utils.tool_parser import ToolParser

DESCRIPTION = """Save a view in a project of W&B: results, cells and op scores over epochs, op counts, entropy, losses
and accuracies of both halves by epoch and step, learning rates, time, memory and sweeps. It needs an account and
pip install 'nas-compose[dashboard]'."""


@one_line_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    _run(_parser().parse(arguments))
    return 0


def _run(options: argparse.Namespace) -> None:
    if options.print:
        print(json.dumps([asdict(section) for section in SECTIONS], indent=2))
    else:
        print(_save(options.project, options.entity, options.name))


def _parser() -> ToolParser:
    parser = ToolParser(f"{program('search')} dashboard", description=DESCRIPTION)
    project, entity = os.environ.get("WANDB_PROJECT") or "nas", os.environ.get("WANDB_ENTITY")
    parser.add_argument("--project", default=project, help="project of the runs (default: WANDB_PROJECT, else nas)")
    parser.add_argument("--entity", default=entity, help="team or user (default: WANDB_ENTITY, else of your account)")
    parser.add_argument("--name", default="Architecture search", help="name of the view")
    parser.add_argument("--print", action="store_true", help="print the definition as JSON; nothing is sent")
    return parser


def _save(project: str, entity: str | None, name: str) -> str:
    """Save the view and return its address."""
    import wandb

    # the view is built before the first connection; without an entity, the account of the key has a default
    workspace = build_workspace(project, entity or "", name, SECTIONS)
    _check_key(wandb)
    try:
        workspace.entity = entity or str(wandb.Api().default_entity)
        workspace.save()
        return str(workspace.url)
    except Exception as error:  # errors of the client, the network or the server
        raise NasError(f"dashboard: W&B rejected the view ({one_line(error)[:300]}). Check --entity.") from error


def _check_key(wandb: Any) -> None:
    if wandb.api.api_key is None:
        raise NasError("dashboard: W&B has no API key. Run wandb login, or use --print.")


if __name__ == "__main__":
    sys.exit(main())
