"""Run search.py and train.py in processes that have imported PyTorch and this package before they start.

Such a process starts in a tenth of a second. It can be killed, and its memory is not that of the tests.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import chdir
from multiprocessing.context import ForkServerContext
from multiprocessing.forkserver import ensure_running
from pathlib import Path

import torch

from tests.support.compose_tools import ROOT

PRELOADED = ("nas.cli.programs.search", "nas.cli.programs.train", "nas.cli.jobs.search", "nas.cli.jobs.train")
"""Modules that the parent of the processes imports."""


def preloaded_processes() -> ForkServerContext:
    """Return the context of such processes, whose parent has run no test."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*PRELOADED, __name__])
    with chdir(ROOT):  # from which the parent imports
        ensure_running()
    return context


def forked_script(
    name: str, *arguments: str, cwd: Path, env: Mapping[str, str] | None = None, timeout: float = 300
) -> subprocess.CompletedProcess[str]:
    """Run ``python search.py ...`` in ``cwd`` as ``script`` does, without the time of the imports."""
    files = [cwd / f".{name}.{stream}" for stream in ("stdout", "stderr")]
    process = preloaded_processes().Process(
        target=_run, args=(name, arguments, cwd, {**os.environ, **(env or {})}, files)
    )
    process.start()
    process.join(timeout)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise subprocess.TimeoutExpired([name, *arguments], timeout)
    said, erred = (file.read_text() for file in files)
    for file in files:
        file.unlink()
    return subprocess.CompletedProcess([name, *arguments], process.exitcode, said, erred)


def _run(name: str, arguments: Sequence[str], cwd: Path, env: Mapping[str, str], files: Sequence[Path]) -> None:
    """Become the process of a script, with its directory, environment and streams."""
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    for number, file in zip((1, 2), files, strict=True):
        opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(opened, number)
        os.close(opened)
    path = ROOT / f"{name}.py"
    sys.argv = [str(path), *arguments]
    torch.set_num_threads(1)
    runpy.run_path(str(path), run_name="__main__")
