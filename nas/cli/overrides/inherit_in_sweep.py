"""In a sweep over several runs, each job has the data set of the run that it names."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict, read_write

from nas.cli.overrides.compose import check_config
from nas.cli.overrides.parse import key_of, override, parse
from nas.cli.overrides.signatures import check_options

Complete = Callable[[list[str]], list[str]]
NAMING = ("mode", "weights", "genotype")  # what names the run of a job
MARK = "own_data"  # the key of the configuration that has each job look for its own


def complete_sweep(arguments: list[str], complete: Complete) -> list[str]:
    """``complete`` for a command line of several jobs: what it adds to all of them, and a mark where that differs.

    Hydra reads the command line once for all jobs, so that only the job itself (``with_own_data``) can add the rest.
    """
    swept = _swept(arguments)
    if not swept:
        return complete(arguments)
    rest = [line for line in arguments if key_of(line) not in swept]
    added = []
    for values in itertools.product(*swept.values()):
        job = [*rest, *(f"{key}={value}" for key, value in zip(swept, values, strict=True))]
        added.append([line for line in complete(job) if line not in job])
    shared = [line for line in added[0] if all(line in other for other in added)]
    if override(shared, "dataset") is None:
        shared = []  # options of a data set mean nothing without it
    own = any(lines != shared for lines in added)
    return [*shared, *([f"{MARK}=true"] if own else []), *arguments]


def with_own_data(cfg: DictConfig, complete: Complete) -> DictConfig:
    """The configuration of a job that ``complete_sweep`` has marked, completed; Hydra's record of it is written anew.

    Raises NasError where the completed configuration is none.
    """
    if not cfg[MARK]:
        return cfg
    hydra: Any = HydraConfig.get()
    task = [line for line in hydra.overrides.task if key_of(line) not in ("dataset", MARK)]
    lines = complete(task)
    if len(lines) == len(task):
        return cfg
    completed = compose(hydra.job.config_name, lines, return_hydra_config=True)
    with read_write(hydra):
        hydra.runtime.choices = completed.hydra.runtime.choices
        hydra.overrides.task = lines
    with open_dict(completed):
        del completed["hydra"]
    # imported only here: it needs torch, and a command line is looked at without
    from nas.cli.run_dir.truncate import save_record

    if hydra.output_subdir is not None:
        save_record(Path(hydra.runtime.output_dir) / hydra.output_subdir, completed)
    check_config(completed)
    check_options(completed)
    return completed


def _swept(arguments: Sequence[str]) -> dict[str, list[str]]:
    """The values of the keys that name runs, where there are several."""
    naming = parse([line for line in arguments if key_of(line) in NAMING])
    return {
        str(part.key_or_group): list(map(str, part.sweep_string_iterator()))
        for part in naming
        if part.is_discrete_sweep()
    }
