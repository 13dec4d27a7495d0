"""Evaluation on Ray: on this machine, or on a cluster."""

from __future__ import annotations

import math
from concurrent.futures import Future
from typing import Any

from nas.executors.base import Build, Executor, Task
from nas.executors.future_workers import FutureWorkers
from nas.executors.interrupts import interrupts_deferred
from nas.executors.processes import MAX_WORKERS, core_count, worker_count
from nas.executors.ray_session import RaySession, import_ray
from nas.executors.worker import Payload, WorkerEvaluation, current_settings, pack
from nas.utils.errors import NasError
from nas.utils.ranges import NOT_NEGATIVE, Range, check_ranges


@check_ranges(
    workers=Range(1, MAX_WORKERS, whole=True), cpus=NOT_NEGATIVE, gpus=NOT_NEGATIVE, threads=Range(1, 4096, whole=True)
)
class RayCluster(Executor):
    """Ray actors, one per worker. An actor that dies, with its node or alone, is started again elsewhere.

    Args:
        workers: number of actors; None is one per GPU, or one per core on CPUs, of this machine.
        address: cluster, such as "auto" or "ray://HOST:10001"; None starts Ray on this machine for the run.
        cpus: cores that Ray reserves for an actor.
        gpus: GPUs that Ray reserves for an actor, to which no others are visible; None is 1 on GPUs.
        threads: CPU threads of an actor; None is ``cpus``, at least 1.

    Raises:
        NasError: from ``start``, if Ray is not installed or the cluster cannot be reached.
    """

    def __init__(
        self,
        workers: int | None = None,
        address: str | None = None,
        cpus: float = 1.0,
        gpus: float | None = None,
        threads: int | None = None,
    ) -> None:
        self._workers = workers
        self.address = address
        self.cpus, self.gpus = cpus, gpus
        self.threads = max(int(cpus), 1) if threads is None else threads

    def workers(self, device: str = "cpu") -> int:
        return worker_count(self._workers, device)

    def start(self, build: Build, device: str = "cpu") -> FutureWorkers:
        ray = import_ray("executor=ray", "executor=processes")
        count, on_gpu = self.workers(device), device.startswith("cuda")
        payload = Payload(pack(build, self.prepare), device, current_settings(self.threads))
        options = {"num_cpus": self.cpus, "num_gpus": (1.0 if on_gpu else 0.0) if self.gpus is None else self.gpus}
        return RayWorkers(ray, count, payload, options, self.address)


class RayWorkers(FutureWorkers):
    """Ray actors that evaluate one candidate each at a time.

    Args:
        ray: the package.
        count: number of actors.
        payload: content of the actors.
        options: resources of an actor.
        address: cluster, None for this machine.
    """

    def __init__(self, ray: Any, count: int, payload: Payload, options: dict[str, float], address: str | None) -> None:
        super().__init__(count)
        self._ray = ray
        cpus = max(core_count(), round(count * options["num_cpus"]))
        self._session = RaySession(ray, address, cpus, "executor.address")
        self._create = ray.remote(**options)(WorkerEvaluation).remote
        self._payload = payload
        self._idle: list[Any] = []
        self._busy: dict[Future[Any], Any] = {}
        self._actors: list[Any] = []
        try:
            check_gpus(count, options["num_gpus"], int(ray.cluster_resources().get("GPU", 0)))
            self._idle = [self._new_actor() for _ in range(count)]
        except BaseException:  # also an interrupt
            self.close()
            raise

    def _new_actor(self) -> Any:
        with interrupts_deferred():
            actor = self._create(self._payload, dedicated=True)
            self._actors.append(actor)
        return actor

    def _start(self, task: Task) -> Future[Any]:
        actor = self._idle.pop()
        future: Future[Any] = actor.evaluate.remote(*task).future()
        self._busy[future] = actor
        return future

    def _cause(self, error: BaseException | None) -> BaseException | None:
        cause = error.cause if isinstance(error, self._ray.exceptions.RayTaskError) else None
        return cause if isinstance(cause, BaseException) else error

    def _finish(self, future: Future[Any], error: BaseException | None) -> None:
        actor = self._busy.pop(future)
        if isinstance(error, self._ray.exceptions.RayError):
            self._ray.kill(actor)
            self._actors.remove(actor)
            actor = self._new_actor()
        self._idle.append(actor)

    def close(self) -> None:
        with interrupts_deferred():
            for actor in self._actors:
                self._ray.kill(actor)
            self._actors, self._idle, self._busy, self._running = [], [], {}, {}
            self._session.close()


def check_gpus(count: int, gpus: float, available: int) -> None:
    """Raise NasError if Ray would wait for ever for the GPUs of all actors.

    Args:
        count: number of actors.
        gpus: GPUs of an actor. Below 1, an actor has a part of one GPU.
        available: GPUs of the cluster.
    """
    if gpus == 0 or count <= (available // gpus if gpus >= 1 else available * int(1 / gpus)):
        return
    share = math.floor(1e4 / math.ceil(count / available)) / 1e4 if available else 0
    raise NasError(
        f"executor.workers={count}: they need {gpus:g} GPUs each, and Ray has {available}. Set executor.gpus={share:g} "
        "or fewer workers."
    )
