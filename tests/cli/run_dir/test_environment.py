"""The command in the record of a run."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
import torch

from nas.cli.run_dir.environment import environment


@pytest.mark.parametrize(
    ("module", "started", "command"),
    [
        ("nas.cli.search", "/package/nas/cli/search.py", "python -m nas search seed=1"),
        (None, "train.py", "python train.py seed=1"),
        (None, "/env/bin/nas-search", "nas-search seed=1"),
    ],
)
def test_command_starts_the_same_program(
    module: str | None, started: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = None if module is None else SimpleNamespace(name=module)
    monkeypatch.setitem(sys.modules, "__main__", SimpleNamespace(__spec__=spec))
    monkeypatch.setattr(sys, "argv", [started, "seed=1"])
    assert environment(torch.device("cpu"), "32-true")["command"] == command
