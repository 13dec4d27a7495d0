"""Evaluation in worker processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from multiprocessing.connection import Connection
from typing import Any

from nas.executors.base import Build, Executor, Task
from nas.executors.future_workers import FutureWorkers
from nas.executors.interrupts import interrupts_deferred
from nas.executors.worker import Payload, WorkerEvaluation, current_settings, pack
from nas.utils.ranges import Range, check_ranges

MAX_WORKERS = 1024
_evaluation: ContextVar[WorkerEvaluation] = ContextVar("evaluation")
"""Evaluation of this worker process."""


@check_ranges(workers=Range(1, MAX_WORKERS, whole=True), threads=Range(1, 4096, whole=True))
class Processes(Executor):
    """Worker processes, each a ``ProcessPoolExecutor`` of one process, so that a killed worker costs one evaluation.

    Workers are spawned, not forked. They end with this process, also if it is killed. On GPUs worker i uses GPU i,
    modulo their number.

    Args:
        workers: number of processes; None is one per GPU, or one per core on CPUs.
        threads: CPU threads of a worker; None divides the cores among the workers.
    """

    def __init__(self, workers: int | None = None, threads: int | None = None) -> None:
        self._workers = workers
        self.threads = threads

    def workers(self, device: str = "cpu") -> int:
        return worker_count(self._workers, device)

    def start(self, build: Build, device: str = "cpu") -> FutureWorkers:
        count = self.workers(device)
        threads = max(core_count() // count, 1) if self.threads is None else self.threads
        content, settings = pack(build, self.prepare), current_settings(threads)
        return ProcessWorkers([Payload(content, name, settings) for name in devices(device, count)])


class ProcessWorkers(FutureWorkers):
    """One process per payload, started at its first task.

    Args:
        payloads: contents of the workers.
    """

    def __init__(self, payloads: Sequence[Payload]) -> None:
        super().__init__(len(payloads))
        self.payloads = payloads
        self._processes = [_Process(payload) for payload in payloads]
        self._idle = self._processes[::-1]
        self._busy: dict[Future[Any], _Process] = {}

    def _start(self, task: Task) -> Future[Any]:
        process = self._idle.pop()
        future = process.submit(task)
        self._busy[future] = process
        return future

    def _finish(self, future: Future[Any], error: BaseException | None) -> None:
        process = self._busy.pop(future)
        if isinstance(error, BrokenExecutor):
            process.end()
        self._idle.append(process)

    def close(self) -> None:
        with interrupts_deferred():
            for process in self._processes:
                process.hang_up()
            for process in self._processes:
                process.end()
            self._idle, self._busy, self._running = [], {}, {}


class _Process:
    """Pool of one process, and the pipe whose end the process waits for.

    Args:
        payload: content of the worker.
    """

    def __init__(self, payload: Payload) -> None:
        self.payload = payload
        self._pool: ProcessPoolExecutor | None = None
        self._lifeline: Connection | None = None

    def submit(self, task: Task) -> Future[Any]:
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            reader, self._lifeline = context.Pipe(duplex=False)
            self._pool = ProcessPoolExecutor(1, context, begin_worker, (reader, self.payload))
        with _signals_blocked():  # a new process inherits this
            return self._pool.submit(evaluate_in_worker, task)

    def hang_up(self) -> None:
        """Close the pipe, at which the process ends without finishing its task."""
        if self._lifeline is not None:
            self._lifeline.close()
            self._lifeline = None

    def end(self) -> None:
        """End the process and wait for it; the next task starts another one."""
        self.hang_up()
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Block signals that a terminal (Ctrl-C) or SLURM sends to all processes: the first one ends the workers."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGUSR1})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def begin_worker(lifeline: Connection, payload: Payload) -> None:
    """Initialize a worker process."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()
    _evaluation.set(WorkerEvaluation(payload, dedicated=True))


def _end_with(lifeline: Connection) -> None:
    """End this process when the other end of the pipe is closed, by the first process or by its death."""
    lifeline.poll(None)
    os._exit(0)


def evaluate_in_worker(task: Task) -> Any:
    """Evaluate a task in a worker process."""
    return _evaluation.get().evaluate(*task)


def core_count() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gpu_count() -> int:
    """Return the number of GPUs, at least 1."""
    import torch

    return max(torch.cuda.device_count(), 1)


def worker_count(given: int | None, device: str) -> int:
    """Return a given number of workers; for None one per GPU, or one per core on CPUs."""
    if given is not None:
        return given
    return gpu_count() if device.startswith("cuda") else core_count()


def devices(kind: str, count: int) -> list[str]:
    """Return the device of each worker: GPUs in turn, or the CPU."""
    return [f"cuda:{number % gpu_count()}" for number in range(count)] if kind.startswith("cuda") else [kind] * count
