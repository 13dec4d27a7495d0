"""Output streams that are closed, full or without a reader: no traceback, and the run continues."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.compose_tools import ROOT
from tests.support.error_tools import SEARCH

HELP = f"{sys.executable} {ROOT}/search.py --help"
RUN = f"{sys.executable} {ROOT}/search.py method=gdas {' '.join(SEARCH)} hydra.run.dir=run"


def shell(command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command of bash, whose exit code is that of the first failure in a pipe."""
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"], cwd=cwd, capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize("command", [f"{HELP} | head -1", f"{HELP} >&-", f"{HELP} > /dev/full", f"{HELP} <&-"])
def test_help_survives_a_closed_output(command: str, tmp_path: Path) -> None:
    done = shell(command, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("command", [f"{HELP} 2>&-", f"{HELP.removesuffix('--help')} dataset=x 2>&-"])
def test_command_line_with_a_closed_stderr_writes_no_other_file(command: str, tmp_path: Path) -> None:
    done = shell(command, tmp_path)
    assert done.returncode == (0 if "--help" in command else 1) and list(tmp_path.iterdir()) == []


def test_run_continues_without_its_terminal(tmp_path: Path) -> None:
    done = shell(f"{RUN} 2>&- | head -1", tmp_path)
    assert done.returncode == 0 and done.stdout.count("\n") == 1
    assert (tmp_path / "run" / "summary.json").is_file()
    assert "genotype" in (tmp_path / "run" / "search.log").read_text()


def test_help_lists_no_fragments(tmp_path: Path) -> None:
    done = shell(HELP, tmp_path)
    listed = [line for line in done.stdout.splitlines() if line.startswith("experiment")]
    assert "gdas" in done.stdout and len(listed) > 5
    assert not [line for line in done.stdout.splitlines() if ": _" in line or ", _" in line]
