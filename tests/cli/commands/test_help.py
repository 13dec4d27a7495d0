"""Help of the commands: it is quick, and its names are those of the code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import get_args

from nas.benchmarks.accuracy_range import FILE
from nas.benchmarks.descriptions import BENCHMARKS
from nas.benchmarks.trans_nas_bench_101 import convert as trans_nas_bench_101
from nas.blackbox.features import Encoding
from nas.callbacks.recording.accuracy_range import PICTURE
from nas.cli.command_list import COMMANDS
from nas.cli.commands import accuracy_range, convert, count, plot, predictor_curves, predictors
from nas.latency.backends import DTYPES
from nas.latency.choices import PRECISIONS
from nas.nn.macs import RULES
from nas.plotting.figure import METADATA
from tests.support.compose_tools import ROOT

HEAVY = {"torch", "pytorch_lightning", "matplotlib", "pyarrow", "wandb"}
PROGRAM = f"""
import contextlib, io, sys
from nas.cli.search import main
for name in {list(COMMANDS)}:
    sys.argv = ["nas-search", name, "--help"]
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        main()
    print(name, "usage:" in out.getvalue(), *sorted({HEAVY} & sys.modules.keys()))
"""


def test_help_imports_no_heavy_package(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=120, env={"PYTHONPATH": str(ROOT)}
    )
    assert done.stdout.splitlines() == [f"{name} True" for name in COMMANDS], done.stderr


def test_names_in_the_help_are_those_of_the_code() -> None:
    assert tuple(METADATA) == plot.SUFFIXES
    assert tuple(RULES) == count.RULES
    assert (accuracy_range.FILE, accuracy_range.PICTURE) == (FILE, PICTURE)
    assert tuple(trans_nas_bench_101.SPACES) == convert.SPACES
    assert tuple(DTYPES) == PRECISIONS
    assert tuple(predictor_curves.SPACES) == predictors.SPACES
    assert tuple(predictor_curves.PREDICTORS) == predictors.PREDICTORS
    assert {name for about in BENCHMARKS.values() for name in about.datasets} == set(predictors.DATASETS)
    assert [name for name in get_args(Encoding) if name != "auto"] == list(predictors.ENCODINGS)
