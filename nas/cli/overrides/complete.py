"""Completion of the command line by the runs that it names: a run to resume, a search, a training."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict, read_write

from nas.cli.overrides.conf_dir import CONF
from nas.cli.overrides.inherit_from_search import inherit_from_search
from nas.cli.overrides.inherit_from_training import inherit_from_training
from nas.cli.overrides.inherit_space import inherit_space
from nas.cli.overrides.installed import provide_choices
from nas.cli.overrides.named_by_experiment import named_by_experiment
from nas.cli.overrides.parse import key_of, parse, value_of
from nas.cli.overrides.resume import resume
from nas.cli.overrides.search_path import search_path_of_run
from nas.cli.run_dir.record import save_record
from nas.cli.run_dir.task_overrides import task_overrides

Inherit = Callable[[list[str]], list[str]]
NAMING = ("mode", "weights", "genotype", "experiment")  # the keys that name the run of a job
PER_JOB = "NAS_INHERIT_PER_JOB"  # environment variable that Hydra sets in the jobs of a sweep over different runs


def complete(arguments: list[str], job: str, sweeping: bool, path: Sequence[Path] = (CONF,)) -> list[str]:
    """Return the command line with the overrides that follow from the run or runs that it names.

    ``path`` has the directories of the user's configuration; the records of runs are untrusted.
    """
    arguments = single_pass(resume(arguments, job, sweeping, path))
    return complete_sweep(arguments, partial(inherit, path=path)) if job == "train" else arguments


def single_pass(arguments: list[str]) -> list[str]:
    """Add dataset.batch_size=null if the command line sets dataset.global_batch_size without it.

    The images of a device are then one pass, whatever the default of the data set is.
    """
    total, size = (value_of(arguments, f"dataset.{key}") for key in ("global_batch_size", "batch_size"))
    return arguments if total in (None, "null") or size is not None else [*arguments, "dataset.batch_size=null"]


def inherit(arguments: list[str], path: Sequence[Path] = (CONF,)) -> list[str]:
    """Add the data set, and a custom space, of the run that a command line of train.py names, unless it chooses them.

    An experiment of the user may name the run and choose them as well.
    """
    known = [*named_by_experiment(arguments, path), *arguments]
    training = (value_of(known, "mode") or "train") == "train"
    completed = inherit_space(known, path)
    completed = inherit_from_search(completed, path) if training else inherit_from_training(completed, path)
    return [*completed[: len(completed) - len(known)], *arguments]


def complete_sweep(arguments: list[str], inherit_job: Inherit) -> list[str]:
    """Apply ``inherit_job`` to a command line of one or several jobs.

    Hydra reads the command line once for all jobs. Overrides that all jobs inherit are added to it. If the jobs inherit
    different ones, a mark is added as well, and each job completes itself (``complete_job``).
    """
    swept = _swept(arguments)
    if not swept:
        return inherit_job(arguments)
    rest = [line for line in arguments if key_of(line) not in swept]
    added = []
    for values in itertools.product(*swept.values()):
        job = [*rest, *(f"{key}={value}" for key, value in zip(swept, values, strict=True))]
        added.append([line for line in inherit_job(job) if line not in job])
    shared = [line for line in added[0] if all(line in other for other in added)]
    if value_of(shared, "dataset") is None:
        shared = []  # options of a data set mean nothing without it
    differ = any(lines != shared for lines in added)
    return [*shared, *([f"+hydra.job.env_set.{PER_JOB}=1"] if differ else []), *arguments]


def complete_job() -> DictConfig | None:
    """Recompose the configuration of a job that ``complete_sweep`` has marked, and update Hydra's record of it.

    Returns:
        The completed configuration; None if the job inherits nothing beyond its command line.
    """
    if PER_JOB not in os.environ:
        return None
    hydra: Any = HydraConfig.get()
    lines = inherited(task_overrides(), search_path_of_run())
    if lines is None:
        return None
    provide_choices(lines)
    completed = compose(hydra.job.config_name, lines, return_hydra_config=True)
    with read_write(hydra):
        hydra.runtime.choices = completed.hydra.runtime.choices
        hydra.overrides.task = lines
    with open_dict(completed):
        del completed["hydra"]
    if hydra.output_subdir is not None:
        save_record(Path(hydra.runtime.output_dir) / hydra.output_subdir, completed)
    return completed


def inherited(overrides: Sequence[str], path: Sequence[Path]) -> list[str] | None:
    """Return the overrides of a job that ``complete_sweep`` has marked with those that it inherits.

    None if the job inherits nothing beyond its command line.
    """
    task = [line for line in overrides if key_of(line) != "dataset"]
    lines = inherit(task, path)
    return None if len(lines) == len(task) else lines


def _swept(arguments: Sequence[str]) -> dict[str, list[str]]:
    """Return the values of the keys in NAMING that have several."""
    naming = parse([line for line in arguments if key_of(line) in NAMING])
    return {
        str(part.key_or_group): list(map(str, part.sweep_string_iterator()))
        for part in naming
        if part.is_discrete_sweep()
    }
