"""Jobs of a sweep as tasks of Ray."""

from __future__ import annotations

import logging
import math
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, configure_log, filter_overrides, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from nas.cli.errors import explain, log_error
from nas.cli.launchers.options import RayOptions, read_options
from nas.executors.processes import core_count
from nas.executors.ray_session import RaySession, import_ray
from nas.utils.errors import NasError, one_line

log = logging.getLogger(__name__)
PATIENCE = 20.0  # seconds: interrupted jobs write their records before Ray stops


@dataclass(frozen=True)
class Sweep:
    """Content of all jobs of a sweep.

    Attributes:
        context: Hydra's context.
        config: configuration of the command line with Hydra's part.
        task: function of a job.
        state: Hydra's state of the process that starts the sweep.
        directory: working directory.
        environment: variables that ``hydra.job.env_copy`` names.
    """

    context: HydraContext
    config: DictConfig
    task: TaskFunction
    state: Any = None
    directory: str = field(default_factory=os.getcwd)
    environment: Mapping[str, str] = field(default_factory=dict)


def run_ray_job(sweep: Sweep, number: int, overrides: Sequence[str]) -> JobReturn:
    """Run a job in a worker of Ray, with the state and the working directory of the process that started the sweep."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ray.cancel has no effect on a process that ignores it
    if os.path.isdir(sweep.directory):  # absent on another machine without a shared file system
        os.chdir(sweep.directory)
    os.environ.update(sweep.environment)
    setup_globals()
    Singleton.set_state(sweep.state)
    config = sweep.context.config_loader.load_sweep_config(sweep.config, list(overrides))
    with open_dict(config):
        config.hydra.job.id = f"{config.hydra.job.name}_{number}"
        config.hydra.job.num = number
    HydraConfig.instance().set_config(config)
    try:
        return run_job(
            hydra_context=sweep.context,
            task_function=sweep.task,
            config=config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )
    except SystemExit as end:  # of an interrupted job; Ray would wait for the end of the process
        raise KeyboardInterrupt from end


def launch(sweep: Sweep, job_overrides: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
    """Run jobs on Ray and return their results in the order of ``job_overrides``.

    A job that fails outside of its function, as by the end of its worker, has the value NaN. The other jobs run.

    Args:
        sweep: content of all jobs.
        job_overrides: overrides of each job.
        first: number of the first job.

    Raises:
        NasError: if Ray is not installed, cannot be reached, or has too few GPUs on this machine.
    """
    os.environ.setdefault("RAY_DEDUP_LOGS", "0")  # Ray would hide equal lines of different jobs
    ray, options = import_ray("hydra/launcher=ray", "hydra/launcher=joblib"), read_options(sweep.config)
    setup_globals()
    hydra = sweep.config.hydra
    configure_log(hydra.hydra_logging, hydra.verbose)
    Path(str(hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
    named = {name: os.environ[name] for name in hydra.job.env_copy if name in os.environ}
    sweep = Sweep(sweep.context, sweep.config, sweep.task, Singleton.get_state(), environment=named)
    cores = max(core_count(), math.ceil(options.cpus))
    with RaySession(ray, options.address, cores, "hydra.launcher.address", show_output=True):
        _check_gpus(ray, options)
        log.info("Launching %d jobs on Ray", len(job_overrides))
        for number, overrides in enumerate(job_overrides, first):
            log.info("\t#%d : %s", number, " ".join(filter_overrides(overrides)))
        return RayJobs(ray, sweep, options).run(job_overrides, first)


class RayJobs:
    """Jobs of a batch, of which at most ``options.jobs`` run at the same time.

    Args:
        ray: the package.
        sweep: content of all jobs.
        options: resources of a job.
    """

    def __init__(self, ray: Any, sweep: Sweep, options: RayOptions) -> None:
        self._ray = ray
        self._sweep = ray.put(sweep)
        # a job is never repeated: its directory would hold the files of the first attempt
        self._task = ray.remote(num_cpus=options.cpus, num_gpus=options.gpus, max_retries=0)(run_ray_job)
        self._most = options.jobs
        self._running: dict[Any, int] = {}

    def run(self, job_overrides: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
        """Run the jobs and return their results in order. An interrupt stops all of them."""
        waiting = list(enumerate(job_overrides, first))
        results: dict[int, JobReturn] = {}
        try:
            while waiting or self._running:
                while waiting and len(self._running) < (self._most or len(job_overrides)):
                    number, overrides = waiting.pop(0)
                    self._running[self._task.remote(self._sweep, number, list(overrides))] = number
                ended, _ = self._ray.wait(list(self._running), num_returns=1)
                for reference in ended:
                    number = self._running.pop(reference)
                    results[number] = self._result(reference, number, job_overrides[number - first])
        except BaseException:
            self._cancel()
            raise
        return [results[number] for number in sorted(results)]

    def _result(self, reference: Any, number: int, overrides: Sequence[str]) -> JobReturn:
        try:
            result: JobReturn = self._ray.get(reference)
            return result
        except self._ray.exceptions.RayError as error:
            cause = getattr(error, "cause", None) or error
            text = explain(cause) if isinstance(cause, Exception) else None
            log_error(f"job {number}: {text or one_line(cause)[:300]}")
            # the record of the job in the directory of the sweep has its failure
            return JobReturn(overrides=list(overrides), _return_value=float("nan"), status=JobStatus.COMPLETED)

    def _cancel(self) -> None:
        """Interrupt the running jobs as by Ctrl-C, and wait until they have written their records."""
        for reference in self._running:
            self._ray.cancel(reference, force=False)
        with suppress(KeyboardInterrupt):  # a second Ctrl-C does not wait
            if not self._running:
                return
            self._ray.wait(list(self._running), num_returns=len(self._running), timeout=PATIENCE)


def _check_gpus(ray: Any, options: RayOptions) -> None:
    """Raise NasError if Ray on this machine would wait forever for the GPUs of a job."""
    available = ray.cluster_resources().get("GPU", 0)
    if options.address is None and options.gpus > available:
        raise NasError(
            f"hydra.launcher.num_gpus={options.gpus:g}: Ray finds {available:g} GPUs on this machine. Use fewer, or "
            "hydra.launcher.address=ADDRESS of a cluster."
        )
