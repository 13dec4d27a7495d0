"""Reservation of the directories of a run or a sweep for this process, before anything is written to them."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, read_write

from nas.cli.checks.directory import (
    Directories,
    check_directories,
    check_record,
    output_directories,
    remove_first_epoch,
    run_directories,
    sweep_directory,
    unresolved,
)
from nas.cli.checks.restart import mark_start, name_of_attempt, name_of_command, without_resumed_seeds
from nas.cli.checks.resumed_sweep import ResumedSweep
from nas.cli.checks.sweep_jobs import SweepJob, check_jobs, is_hydra, plan_sweep
from nas.cli.overrides.complete import PER_JOB, inherited
from nas.cli.overrides.conf_dir import CONF
from nas.cli.overrides.parse import quote, value_of
from nas.cli.overrides.search_path import search_path
from nas.cli.run_dir.job_record import RESUMED_SWEEP, SWEEP_DIRECTORY
from nas.cli.run_dir.launch import command_name, launch_name, launch_token, restart_count
from nas.cli.run_dir.ranks import (
    ADDED_OVERRIDES,
    DIRECTORY,
    is_distributed,
    is_further_rank,
    publish,
    rendezvous_file,
    rendezvous_folder,
    wait_for_first_rank,
    wait_for_lock,
)
from nas.cli.run_dir.requeue import SWEEP_JOB, job_id
from nas.utils.directory_lock import DirectoryLock, is_locked_here
from nas.utils.errors import NasError
from nas.utils.rank import rank_of

NOW = re.compile(r"\$\{now:([^}]*)\}")


@dataclass(frozen=True)
class Plan:
    """Directories of a command line.

    Attributes:
        cfg: the composed configuration; of the first job of a sweep.
        pinned: overrides for the options whose value contains the time, so that Hydra uses the checked directories.
        sweep: the directory of the sweep, None for a single run.
        jobs: the jobs of the sweep.
        overrides: those of a single run, without Hydra's own.
        path: directories of the user's configuration.
    """

    cfg: DictConfig
    pinned: list[str] = field(default_factory=list)
    sweep: Path | None = None
    jobs: Sequence[SweepJob] = ()
    overrides: Sequence[str] = ()
    path: Sequence[Path] = (CONF,)

    @property
    def is_further_rank(self) -> bool:
        """True if another process, the first rank, checks and locks the directories."""
        return is_further_rank(self.cfg)

    def check(self) -> None:
        """Raise NasError if a directory holds another run, or cannot be written."""
        check_record(self.cfg)
        if self.sweep is not None:
            resumed = self.resumed()
            resumed.check_directory(self.sweep)
            resumed.check_jobs()
            check_jobs(self.jobs, self.cfg.get("ckpt_path"), resumed.jobs)
        else:
            given = self.cfg.get("ckpt_path")
            check_directories(without_resumed_seeds(run_directories(self.cfg), given), given, self.overrides)

    @property
    def is_resumable(self) -> bool:
        """True for a sweep that the same command resumes in its directory."""
        return bool(self.jobs) and self.cfg.get("ckpt_path") is None

    def resumed(self) -> ResumedSweep:
        """Return the jobs of the sweep that an earlier call of the same command has started."""
        return ResumedSweep(self.jobs, self.cfg.mode, self._complete, self.is_resumable)

    def _complete(self, overrides: Sequence[str]) -> Sequence[str]:
        """Return the overrides of a job with those that it inherits from the run that it names."""
        if PER_JOB not in self.cfg.hydra.job.env_set:
            return overrides
        return inherited(overrides, self.path) or overrides


def make_plan(job: str, cfg: DictConfig, given: Sequence[str], flags: argparse.Namespace, sweeping: bool) -> Plan:
    """Return the directories of a command line.

    Args:
        job: "search" or "train".
        cfg: the composed configuration; of the first job of a sweep. The time in its directories is replaced.
        given: overrides of the command line.
        flags: Hydra's flags.
        sweeping: whether the command line is of a sweep.

    Raises:
        NasError: if the overrides of a job of the sweep do not compose.
    """
    pinned = pin_time(cfg, sweeping, (job, *given))
    if not sweeping or is_further_rank(cfg):
        overrides = [line for line in given if not is_hydra(line)]
        return Plan(cfg, pinned, sweep_directory(cfg) if sweeping else None, overrides=overrides)
    if value_of(given, "hydra.run.dir") is not None:
        raise NasError(
            "hydra.run.dir: a sweep does not use it. Use hydra.sweep.dir, which holds one directory per job."
        )
    directory, jobs = plan_sweep(job, [*given, *pinned], flags, cfg)
    path = search_path(flags.config_dir or flags.config_path, given)
    return Plan(cfg, pinned, directory, jobs, path=path)


def pin_time(cfg: DictConfig, sweeping: bool, command: Sequence[str] = ()) -> list[str]:
    """Replace ``${now:...}`` in the directories of ``cfg`` by the present time, or by the name of the launch.

    The ranks of a launch with a name compute the same directory, also if their clocks differ. A command with one
    process in a job of SLURM also has a name, with a number if an equal command of the job has used the directory.

    Args:
        cfg: the composed configuration.
        sweeping: whether the command line is of a sweep.
        command: the job and its overrides.

    Returns:
        The overrides that give Hydra the same directories.
    """
    keys = ("hydra.sweep.dir",) if sweeping else ("hydra.run.dir", "paths.output")
    texts = {key: text for key in keys if NOW.search(text := unresolved(cfg, key))}
    several, time = is_distributed(cfg), datetime.now()
    name = launch_name() if several else None if sweeping else command_name(command)

    def pin(name: str | None) -> None:
        for key, text in texts.items():
            by_time = NOW.sub(lambda found: time.strftime(found[1].strip("'\"")), text)
            with read_write(cfg.hydra):
                OmegaConf.update(cfg, key, by_time if name is None else by_launch(text, name))

    def directories_of(name: str) -> Directories:
        pin(name)
        return {"": sweep_directory(cfg)} if sweeping else run_directories(cfg)

    def output_of(name: str) -> Path:
        directories = directories_of(name)
        return directories.get("paths.output", next(iter(directories.values())))

    if texts and name is not None and not several:
        name = name_of_command(name, lambda found: directories_of(found).values())
    if texts and name is not None and restart_count() > 0:
        name = name_of_attempt(name, output_of)
    pin(name)
    return [f"{key}={quote(unresolved(cfg, key))}" for key in texts]


def by_launch(text: str, name: str) -> str:
    """Replace the first ``${now:...}`` of a path by a name, and remove the others."""
    return re.sub("//+", "/", NOW.sub("", NOW.sub(name, text, count=1))).rstrip("/")


@contextmanager
def reserved(plan: Plan) -> Iterator[list[str]]:
    """Lock the directories of a run or sweep, and yield the overrides that name them.

    The further ranks of a distributed run lock nothing; they wait for the first one and share its directory.
    """
    option = "hydra.run.dir" if plan.sweep is None else "hydra.sweep.dir"
    if plan.is_further_rank:
        yield _directories_of_first_rank(plan, option)
        return
    label = {option: plan.sweep} if plan.sweep is not None else run_directories(plan.cfg)
    token = launch_token() if is_distributed(plan.cfg) else None
    with ExitStack() as stack:
        for name, directory in label.items():
            kind = "run" if plan.sweep is None else "sweep"
            stack.enter_context(DirectoryLock(directory, name, kind, _is_lock_required(plan.cfg), token))
        plan.check()  # again: another process may have written there before the lock was taken
        if plan.sweep is None:
            remove_first_epoch(label, plan.overrides)
            mark_start(plan.cfg, label[option])
        found = {name: str(label[name].absolute()) for name in (option, "paths.output") if name in label}
        if is_distributed(plan.cfg) and (token is None or not _is_lock_required(plan.cfg)):
            stack.enter_context(publish(_rendezvous(plan.cfg, option), found))
        os.environ[DIRECTORY] = found[option]
        stack.callback(os.environ.pop, DIRECTORY, None)
        added = list(plan.pinned)
        if plan.sweep is not None:
            added.append(f"+hydra.job.env_set.{SWEEP_DIRECTORY}={quote(found[option])}")
            job = job_id()
            added += [] if job is None else [f"+hydra.job.env_set.{SWEEP_JOB}={quote(job)}"]
            added += _resume_overrides(plan)
        ADDED_OVERRIDES[:] = added
        yield added


def _resume_overrides(plan: Plan) -> list[str]:
    """Prepare the jobs of a resumed sweep, and return the overrides by which they keep their records.

    Raises:
        NasError: if a launcher has started several ranks, which would not skip the same jobs.
    """
    sweep = plan.resumed()
    if not sweep.jobs:
        return []
    if is_distributed(plan.cfg):
        raise NasError(
            f"hydra.sweep.dir: {plan.sweep} holds jobs of this sweep, and a sweep of several processes (srun, "
            "torchrun) is not resumed. Resume its jobs one by one by ckpt_path, or choose another directory."
        )
    sweep.prepare()
    numbers = ",".join(str(job.number) for job in sweep.jobs)
    return [f"+hydra.job.env_set.{RESUMED_SWEEP}={quote(numbers)}", "hydra.output_subdir=null"]


@contextmanager
def reserved_by_job(cfg: DictConfig) -> Iterator[None]:
    """Lock the directories of a job of a sweep while it runs, unless this process holds their locks already."""
    if is_further_rank(cfg):
        yield
        return
    hydra = HydraConfig.get()
    found = output_directories(cfg, "hydra.sweep.subdir", Path(hydra.runtime.output_dir))
    missing = {option: directory for option, directory in found.items() if not is_locked_here(directory)}
    with ExitStack() as stack:
        for option, directory in missing.items():
            stack.enter_context(DirectoryLock(directory, option, required=_is_lock_required(cfg)))
        number = "" if OmegaConf.is_missing(hydra.job, "num") else str(hydra.job.num)
        # the directories of resumed jobs are checked before the first job
        if not number or number not in os.environ.get(RESUMED_SWEEP, "").split(","):
            check_directories(missing, cfg.get("ckpt_path"))
        yield


def _directories_of_first_rank(plan: Plan, option: str) -> list[str]:
    """Return the overrides for a further rank; it writes neither Hydra's record nor the log of the first one."""
    if DIRECTORY in os.environ:  # started by Lightning, which passes the directory
        return []
    record = ["hydra.output_subdir=null", f"hydra.job.name=rank_{rank_of()}"]
    token = launch_token()
    if token is not None and _is_lock_required(plan.cfg):
        wait_for_lock(plan.sweep or run_directories(plan.cfg)[option], token)
        return [*plan.pinned, *record]
    found = wait_for_first_rank(_rendezvous(plan.cfg, option), _is_lock_required(plan.cfg))
    return [*(f"{name}={quote(directory)}" for name, directory in found.items()), *record]


def _rendezvous(cfg: DictConfig, option: str) -> Path:
    return rendezvous_file(rendezvous_folder(unresolved(cfg, option)))


def _is_lock_required(cfg: DictConfig) -> bool:
    return bool(OmegaConf.select(cfg, "extras.require_lock", default=True))
