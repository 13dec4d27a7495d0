"""Requeue of the SLURM job of a run."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence

from nas.cli.run_dir.launch import INTERACTIVE, launch_name
from nas.utils.errors import NasError, one_line

PATIENCE = 60.0  # seconds that scontrol may take
SWEEP_JOB = "NAS_SWEEP_JOB"
"""Environment variable of the runs of a sweep with the id of the job of SLURM that has started the sweep."""
DIRECTORIES = ("hydra.run.dir", "hydra.sweep.dir", "paths.output")


def job_id(environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the id of the job of SLURM that runs this process, None outside of a job and in an interactive one."""
    if environment.get("SLURM_JOB_NAME") in INTERACTIVE:
        return None
    array, task = (environment.get(f"SLURM_ARRAY_{name}") for name in ("JOB_ID", "TASK_ID"))
    return environment.get("SLURM_JOB_ID") if array is None or task is None else f"{array}_{task}"


def is_job_of_sweep(environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether the job of SLURM that runs this process has started a sweep, instead of a single run of it."""
    job = job_id(environment)
    return job is not None and environment.get(SWEEP_JOB) == job


def is_found_again(pinned: Sequence[str], environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether the same command, started again by its launcher, uses the same directory.

    Args:
        pinned: overrides by which directories with a time in their names have been fixed.
        environment: variables of the process.
    """
    name = (launch_name(environment) or "").partition(".")[0]
    dated = [line for line in pinned if line.partition("=")[0] in DIRECTORIES]
    return all(bool(name) and name in line for line in dated)


def requeue_job(resume: str, environment: Mapping[str, str] = os.environ) -> str | None:
    """Requeue the job of SLURM that runs this process, and return its id; None without a job.

    Args:
        resume: command that resumes the run, for the message of an error.
        environment: variables of the process.

    Raises:
        NasError: if scontrol fails.
    """
    job = job_id(environment)
    if job is None:
        return None
    try:
        command = ["scontrol", "requeue", job]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env=dict(environment))
        problem = None if done.returncode == 0 else one_line(done.stderr) or f"exit code {done.returncode}"
    except (OSError, subprocess.TimeoutExpired) as error:
        problem = one_line(error)
    if problem is not None:
        raise NasError(f"scontrol requeue {job}: {problem}. Submit the job again, and to resume, run {resume}")
    return job
