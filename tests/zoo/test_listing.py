"""train.py --list: rows, filters, exit codes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from nas.zoo.architectures import published_architectures
from nas.zoo.listing import run_list_flag
from tests.support.compose_tools import ROOT, script, succeeded


def test_list_prints_all_architectures(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_list_flag(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["name", "space", "parameters", "MACs", "of", "source", "paper"]
    assert [line.split()[0] for line in lines[1:-1]] == [entry.name for entry in published_architectures()]
    row = next(line for line in lines if line.startswith("noisy_darts_a "))
    assert row.split()[:7] == ["noisy_darts_a", "darts", "3.25", "M", "534", "M", "cifar10"]
    assert "xiaomi-automl/NoisyDARTS" in row and "BMVC 2021" in row
    assert lines[-1].startswith(f"{len(published_architectures())} architectures")


def test_list_filters_by_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_list_flag(["--list", "gdas", "darts"]) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:-1]]
    assert {"GDAS_V1", "GDAS_F1"} <= set(names) and "PDARTS" not in names
    assert run_list_flag(["--list", "gdsa"]) == 1
    printed = capsys.readouterr()
    assert not printed.out and printed.err.startswith("error: ") and printed.err.count("\n") == 1
    assert "Did you mean" in printed.err
    assert run_list_flag(["genotype=x"]) is None


def test_list_does_not_import_torch_and_survives_closed_pipe(tmp_path: Path) -> None:
    check = (
        "import runpy, sys; sys.argv = ['train.py', '--list']\n"
        f"try: runpy.run_path({str(ROOT / 'train.py')!r}, run_name='__main__')\n"
        "except SystemExit as stop: assert stop.code == 0\n"
        "assert 'torch' not in sys.modules and 'pytorch_lightning' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.iterdir())
    closed = f"{sys.executable} {ROOT / 'train.py'} --list | head -n 1"
    done = subprocess.run(closed, shell=True, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and not done.stderr and done.stdout.startswith("name")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_list_from_any_directory(tmp_path: Path) -> None:
    assert "GDAS_V1" in succeeded(script("train", "--list", "gdas", cwd=tmp_path))
