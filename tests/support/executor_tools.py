"""Evaluations for tests of executors, picklable and without PyTorch, and the executors that are tested."""

from __future__ import annotations

import concurrent.futures
import importlib.util
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from nas.executors.base import Evaluate, Executor
from nas.executors.futures import Futures
from nas.executors.processes import Processes
from nas.executors.ray_cluster import RayCluster
from nas.executors.serial import Serial

SPAWN = partial(concurrent.futures.ProcessPoolExecutor, 2, multiprocessing.get_context("spawn"))
EXECUTORS: dict[str, Any] = {
    "serial": Serial,
    "processes": partial(Processes, workers=2, threads=1),
    "futures": partial(Futures, pool=SPAWN, workers=2, threads=1),
    "ray": partial(RayCluster, workers=2, cpus=1, threads=1),
}


def executors(*names: str) -> Any:
    """Parametrize a test by executors, those named or all; Ray is skipped where it is not installed."""
    missing = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")
    chosen = [pytest.param(name, marks=missing if name == "ray" else ()) for name in names or EXECUTORS]
    return pytest.mark.parametrize("name", chosen)


def build_executor(name: str) -> Executor:
    """Build an executor with two workers."""
    executor: Executor = EXECUTORS[name]()
    return executor


class Squares:
    """Evaluation with failures: value = candidate squared + fidelity, and the process of the worker.

    Args:
        folder: Directory in which the workers count their attempts.
        fails: Candidates whose evaluation raises, with the number of attempts that do.
        kills: Candidates at which the worker kills itself, with the number of attempts that do.
        slow: Candidates that take longer than others.
    """

    def __init__(
        self,
        folder: Path,
        fails: dict[int, int] | None = None,
        kills: dict[int, int] | None = None,
        slow: tuple[int, ...] = (),
    ) -> None:
        self.folder, self.fails, self.kills, self.slow = folder, fails or {}, kills or {}, slow

    def __call__(self, device: str) -> Evaluate:
        return self.evaluate

    def evaluate(self, candidate: int, fidelity: int | None, position: int) -> tuple[int, int]:
        (self.folder / f"{candidate}.{time.monotonic_ns()}").touch()
        attempts = len(list(self.folder.glob(f"{candidate}.*")))
        time.sleep(0.2 if candidate in self.slow else 0)
        if attempts <= self.fails.get(candidate, 0):
            raise ZeroDivisionError(f"attempt {attempts} of {candidate}")
        if attempts <= self.kills.get(candidate, 0):
            os.kill(os.getpid(), signal.SIGKILL)
        return candidate**2 + (fidelity or 0), os.getpid()


class Sleep:
    """Evaluation that does not end.

    Args:
        begun: file that a worker creates at its first evaluation.
    """

    def __init__(self, begun: Path) -> None:
        self.begun = begun

    def __call__(self, device: str) -> Evaluate:
        return self.evaluate

    def evaluate(self, *task: object) -> None:
        self.begun.touch()
        time.sleep(600)


class Signaled(Squares):
    """Evaluation whose worker receives the signal that SLURM sends before the end of a job."""

    def evaluate(self, candidate: int, fidelity: int | None, position: int) -> tuple[int, int]:
        os.kill(os.getpid(), signal.SIGUSR1)
        return super().evaluate(candidate, fidelity, position)


class NoBuild:
    """Evaluation that cannot be built."""

    def __call__(self, device: str) -> Evaluate:
        raise OSError(f"no {device} here")


def children(process: int | None = None) -> set[int]:
    """Return the running processes below a process, this one by default, without resource trackers of multiprocessing.

    A tracker ends with the process that it belongs to.
    """
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            if state != "Z" and b"resource_tracker" not in (folder / "cmdline").read_bytes():
                parents[int(folder.name)] = int(parent)
    return set(_below(parents, os.getpid() if process is None else process))


def _below(parents: dict[int, int], process: int) -> Iterator[int]:
    for child, parent in parents.items():
        if parent == process:
            yield child
            yield from _below(parents, child)


def wait_for(condition: Any, seconds: float = 60.0) -> bool:
    """Wait until a condition holds; return whether it does."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return bool(condition())
