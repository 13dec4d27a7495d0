"""Sweeps that the same command resumes in their directory: which jobs are finished, interrupted or missing."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

from nas.cli.checks.directory import check_name, check_writable, is_repeated, remove_first_epoch
from nas.cli.checks.sweep_jobs import SweepJob
from nas.cli.overrides.parse import key_of
from nas.cli.overrides.run_record import overrides_file, saved_overrides
from nas.cli.overrides.value_type import AUTO
from nas.cli.run_dir.in_use import check_not_in_use
from nas.cli.run_dir.layout import (
    RESULTS,
    SWEEP_FILE,
    holds_run,
    is_finished,
    kept_files,
    last_checkpoint,
    refuse_special_files,
)
from nas.utils.errors import NasError
from nas.utils.read_file import read_text
from nas.utils.user_path import real_path

OPTION = "hydra.sweep.dir"
FREE = (
    *("paths.data", "paths.benchmark", "ckpt_path", "cuda_graphs"),
    *("dataset.root", "dataset.download", "dataset.num_workers"),
)
"""Keys whose values may change when a sweep is resumed; the jobs check the options of their course themselves."""
REPEATED = ("eval", "export")
"""Modes without checkpoints: an interrupted job writes its files again."""

Complete = Callable[[Sequence[str]], Sequence[str]]
"""Function from the overrides of a job to those in its record, which has inherited further ones from other runs."""


class ResumedSweep:
    """Jobs of a command line that an earlier call of the same command has started.

    Args:
        jobs: all jobs of the command line.
        mode: ``mode`` of the jobs.
        complete: adds the overrides that a job inherits.
        allowed: whether jobs can be resumed; False for jobs that continue another run in a new directory.
    """

    def __init__(self, jobs: Sequence[SweepJob], mode: str, complete: Complete, allowed: bool = True) -> None:
        self._jobs = jobs
        self._mode = mode
        self._complete = complete
        recorded = [job for job in jobs if allowed and overrides_file(job.run).is_file()]
        self.differences = {job.number: self._difference(job) for job in recorded}
        self.jobs = [job for job in jobs if self.differences.get(job.number) == ""]

    def _difference(self, job: SweepJob) -> str:
        """Return a phrase about the first override that differs from the record of a job, empty without one."""
        try:
            theirs = _by_key(saved_overrides(job.run))
        except NasError as error:
            return str(error)
        ours = _by_key(self._complete(job.overrides))
        for key in dict.fromkeys([*ours, *theirs]):
            here, there = ours.get(key), theirs.get(key)
            chosen = here == f"dataset.batch_size={AUTO}" and (there or "").partition("=")[2].isdecimal()
            if here != there and not chosen:
                return f"job {job.number} has {there or f'no {key}'}, and this command {here or f'no {key}'}"
        return ""

    def check_directory(self, directory: Path) -> None:
        """Raise NasError if the directory of the sweep belongs to another sweep, run or process, or to a finished one.

        Args:
            directory: directory of the sweep.
        """
        check_name(directory, OPTION)
        check_not_in_use(directory, OPTION)
        if holds_run(directory):
            raise NasError(f"{OPTION}: {directory} holds a run. Choose another directory.")
        taken = [path for path in sorted(directory.glob("*")) if path.is_dir() and holds_run(path)]
        table = directory / SWEEP_FILE
        if taken or table.exists():
            reason = self._obstacle(taken)
            if reason is not None:
                raise _of_another_sweep(directory, reason, taken)
            if table.exists() and all(map(_has_finished, self._jobs)) and not _has_failures(table):
                raise NasError(
                    f"{OPTION}: {directory} holds a finished sweep ({SWEEP_FILE}). Choose another directory."
                )
        check_writable(directory, OPTION)

    def _obstacle(self, taken: Sequence[Path]) -> str | None:
        """Return why the directory of a sweep, with the runs ``taken``, cannot be that of this one; None if it can."""
        own = {real_path(path) for job in self._jobs for path in job.directories.values()}
        foreign = next((path.name for path in taken if real_path(path) not in own), None)
        if foreign is not None or not self._jobs:
            return foreign or SWEEP_FILE
        for job in self._jobs:
            difference = self.differences.get(job.number)
            if difference and _holds_results(job):
                return difference
        return None if self.jobs else taken[0].name if taken else SWEEP_FILE

    @property
    def finished(self) -> set[int]:
        """Numbers of the jobs that have all their results."""
        return {job.number for job in self.jobs if _has_finished(job)}

    def check_jobs(self) -> None:
        """Raise NasError if a job that is not finished can neither be resumed nor started again."""
        for job in self.jobs:
            for option, directory in job.directories.items():
                check_not_in_use(directory, option)
            if _has_finished(job):
                continue
            refuse_special_files(job.run)
            for option, directory in job.directories.items():
                check_writable(directory, option)
                if kept_files(job.output) is None and self._mode not in REPEATED and holds_run(directory):
                    self._check_restart(job, option, directory)

    @staticmethod
    def _check_restart(job: SweepJob, option: str, directory: Path) -> None:
        if not is_repeated(option, directory, saved_overrides(job.run)):
            raise NasError(
                f"{option}: job {job.number} was interrupted and has no checkpoint in {directory}. Choose "
                "another hydra.sweep.dir, or remove this directory to start the job again."
            )

    def prepare(self) -> None:
        """Remove what jobs without a checkpoint have left. They start again."""
        for job in self.jobs:
            if not _has_finished(job) and kept_files(job.output) is None:
                remove_first_epoch(job.directories, saved_overrides(job.run))
                for name in RESULTS if self._mode in REPEATED else ():
                    (job.output / name).unlink(missing_ok=True)


def _has_finished(job: SweepJob) -> bool:
    return is_finished(job.run, job.output)


def _holds_results(job: SweepJob) -> bool:
    return any(map(holds_run, job.directories.values()))


def _by_key(lines: Sequence[str]) -> dict[str, str]:
    """Return overrides by key, without prefixes. The last override of a key counts."""
    return {key_of(line): line.lstrip("+") for line in lines if key_of(line) not in FREE}


def _has_failures(table: Path) -> bool:
    """Return whether the table of a sweep has a failed job, or cannot be read."""
    try:
        return any(row["failure"] for row in csv.DictReader(read_text(table).splitlines()))
    except (OSError, ValueError, KeyError, csv.Error):
        return True


def _of_another_sweep(directory: Path, reason: str, taken: Sequence[Path]) -> NasError:
    unfinished = [path for path in taken if last_checkpoint(path) is not None and not is_finished(path)]
    resume = f" Resume an unfinished job by ckpt_path={unfinished[0]}." if unfinished else ""
    return NasError(
        f"{OPTION}: {directory} holds the jobs of another sweep ({reason}). Choose another directory.{resume}"
    )
