"""Evaluation by any implementation of concurrent.futures.Executor."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Future
from concurrent.futures import Executor as Pool
from typing import Any

from nas.executors.base import Build, Executor, Task
from nas.executors.future_workers import FutureWorkers
from nas.executors.processes import MAX_WORKERS
from nas.executors.worker import Payload, WorkerEvaluation, current_settings, pack
from nas.utils.errors import NasError, one_line
from nas.utils.ranges import Range, check_ranges

_LOCK = threading.Lock()
"""Lock of evaluations in threads: the random generators of PyTorch belong to the process."""


@check_ranges(workers=Range(1, MAX_WORKERS, whole=True), threads=Range(1, 4096, whole=True))
class Futures(Executor):
    """Any ``concurrent.futures.Executor``, such as those of Dask, executorlib, loky or mpi4py.

    A pool that breaks is built again, and the evaluations that it has lost are repeated one after another. In a pool of
    threads the evaluations run one after another. The end of a run waits for the running evaluations.

    Args:
        pool: builds the pool.
        workers: number of candidates that are evaluated at the same time.
        threads: CPU threads of an evaluation; None keeps the number of the run.
    """

    def __init__(self, pool: Callable[[], Pool] | None = None, workers: int = 2, threads: int | None = None) -> None:
        if pool is None:  # possible in a configuration
            raise NasError(
                "executor.pool=null: executor=futures needs a pool. Set "
                "'executor.pool={_target_: concurrent.futures.ProcessPoolExecutor, _partial_: true, max_workers: 2}'."
            )
        self.pool = pool
        self._workers = workers
        self.threads = threads

    def workers(self, device: str = "cpu") -> int:
        return self._workers

    def start(self, build: Build, device: str = "cpu") -> FutureWorkers:
        payload = Payload(pack(build, self.prepare), device, current_settings(self.threads))
        return PoolWorkers(self.pool, self._workers, payload)


class PoolWorkers(FutureWorkers):
    """Candidates in flight in a pool.

    Args:
        build_pool: builds the pool.
        count: number of candidates that are evaluated at the same time.
        payload: content of the workers. It is sent with each task and built once per process.
    """

    isolated = False

    def __init__(self, build_pool: Callable[[], Pool], count: int, payload: Payload) -> None:
        super().__init__(count)
        self.payload = payload
        self._build_pool = build_pool
        self._pool = self._new_pool()
        self._pools: dict[Future[Any], Pool] = {}
        self._submitted = 0

    def _new_pool(self) -> Pool:
        try:
            pool = self._build_pool()
        except (ImportError, TypeError, ValueError, OSError, RuntimeError) as error:
            raise NasError(f"executor.pool: it cannot be built ({one_line(error)}). Correct its options.") from None
        if not callable(getattr(pool, "submit", None)):
            raise NasError(
                f"executor.pool: {type(pool).__name__} has no submit(). Set it to a concurrent.futures.Executor with "
                "_partial_: true."
            )
        return pool

    def _start(self, task: Task) -> Future[Any]:
        self._submitted += 1
        try:
            future = self._pool.submit(evaluate_payload, self.payload, task, self._submitted)
        except BrokenExecutor:
            self._replace(self._pool)
            future = self._pool.submit(evaluate_payload, self.payload, task, self._submitted)
        self._pools[future] = self._pool
        return future

    def _finish(self, future: Future[Any], error: BaseException | None) -> None:
        pool = self._pools.pop(future)
        if isinstance(error, BrokenExecutor) and pool is self._pool:
            self._replace(pool)

    def _replace(self, broken: Pool) -> None:
        broken.shutdown(wait=False)
        self._pool = self._new_pool()

    def close(self) -> None:
        """Cancel waiting evaluations, and wait for the running ones: a pool cannot end them."""
        for future in self._running:
            future.cancel()  # not all pools take cancel_futures
        self._pool.shutdown(wait=True)
        self._running, self._pools = {}, {}


@functools.lru_cache(maxsize=1)
def _evaluation(payload: Payload) -> WorkerEvaluation:
    """Return the evaluation of this process."""
    return WorkerEvaluation(payload)


def evaluate_payload(payload: Payload, task: Task, number: int) -> Any:
    """Evaluate a task in a process of the pool.

    The number of the call makes a second attempt a different call: Dask returns cached results for equal calls.
    """
    with _LOCK:
        return _evaluation(payload).evaluate(*task)
