"""Jobs of a sweep: their overrides and directories, checked before the first one starts."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from nas.cli.checks.directory import Directories, check_directories, run_directories, sweep_directory, unresolved
from nas.cli.checks.study import check_study
from nas.cli.overrides.compose import composer, is_removal_of_unknown
from nas.cli.overrides.conf_dir import CONF
from nas.cli.overrides.hydra_internals import BASIC_SWEEPER, expand_sweep
from nas.cli.overrides.parse import key_of, parse
from nas.cli.study.options import OPTUNA_SWEEPER
from nas.utils.errors import NasError, one_line
from nas.utils.user_path import real_path

CONSTANT = r"\$\{hydra[.:]job\.(num|id)\}|\$\{hydra:runtime\.output_dir\}"
"""Interpolations whose values for a job follow from its number."""


@dataclass(frozen=True)
class SweepJob:
    """One job of a sweep.

    Attributes:
        number: its number, from 0.
        overrides: its overrides.
        directories: the directories that it writes to, by option.
    """

    number: int
    overrides: tuple[str, ...]
    directories: Directories

    @property
    def run(self) -> Path:
        """The directory of Hydra's record of the job."""
        return next(iter(self.directories.values())).absolute()

    @property
    def output(self) -> Path:
        """The directory of the results."""
        return self.directories.get("paths.output", self.run).absolute()


def is_hydra(line: str) -> bool:
    """Return whether an override belongs to Hydra itself, and not to a job."""
    return key_of(line).startswith(("hydra.", "hydra/"))


def replace_grid(arguments: Sequence[str], cfg: DictConfig) -> list[str]:
    """Return the command line of a sweep such that its values replace those of the grid for the same key.

    Hydra's sweeper compares keys with their prefixes, and would run the product of the grid's ``key`` and a ``++key``.
    """
    grid = OmegaConf.select(cfg, "hydra.sweeper.params") or {}
    return [line.lstrip("+") if key_of(line) in grid and not line.startswith("~") else line for line in arguments]


def plan_sweep(
    job: str, arguments: Sequence[str], flags: argparse.Namespace, cfg: DictConfig
) -> tuple[Path, list[SweepJob]]:
    """Return the directory and the jobs of a sweep; no jobs for a sweeper that chooses them during the sweep.

    Args:
        job: "search" or "train".
        arguments: overrides of the command line.
        flags: Hydra's flags.
        cfg: the configuration of the first job.

    Raises:
        NasError: if the overrides of a job do not compose, or the command line sweeps an option of Hydra.
    """
    _refuse_swept_hydra(arguments)
    grid = [f"{key}={values}" for key, values in (cfg.hydra.sweeper.params or {}).items()]
    hydra = [line for line in arguments if is_hydra(line)]
    with composer(job, flags) as compose:
        directory = _sweep_directory(arguments, cfg, compose)
        given = [line for line in arguments if not is_hydra(line)]
        if cfg.hydra.sweeper._target_ == OPTUNA_SWEEPER:
            check_study(cfg, grid, given, compose)
        if cfg.hydra.sweeper._target_ != BASIC_SWEEPER:
            return directory, []
        try:
            lists = expand_sweep([*grid, *given])
        except (HydraException, AssertionError) as error:
            if "INTERVAL_SWEEP" in str(error):
                raise NasError(
                    "-m: an interval needs hydra/sweeper=optuna. Add it, or give a list of values."
                ) from None
            raise NasError(f"-m: {one_line(error)}. Give a list of values, such as seed=0,1,2.") from None
        return directory, _locate(lists, hydra, compose, bool(flags.config_dir))


def check_jobs(jobs: Sequence[SweepJob], ckpt_path: str | None, resumed: Sequence[SweepJob] = ()) -> None:
    """Raise NasError if two jobs would write to the same directory, or one to that of another run.

    The directories of ``resumed`` jobs are their own.
    """
    owners: dict[Path, int] = {}
    for job in jobs:
        for option, directory in job.directories.items():
            first = owners.setdefault(real_path(directory), job.number)
            if first != job.number:
                raise NasError(
                    f"{option}: jobs {first} and {job.number} would write to the same directory {directory}. Add "
                    "${hydra.job.num} to its name."
                )
    for job in jobs:
        if job not in resumed:
            check_directories(job.directories, ckpt_path)


def _sweep_directory(arguments: Sequence[str], cfg: DictConfig, compose: Callable[[Sequence[str]], DictConfig]) -> Path:
    """Return the directory that Hydra gives the sweep itself: it ignores the overrides with several values there."""
    if _is_constant(cfg):
        return sweep_directory(cfg)
    single = [str(part.input_line) for part in parse(arguments) if not part.is_sweep_override()]
    return sweep_directory(compose(single))


def _refuse_swept_hydra(arguments: Sequence[str]) -> None:
    for part in parse([line for line in arguments if is_hydra(line)]):
        if part.is_sweep_override():
            raise NasError(f"{part.input_line}: Hydra's own options cannot be swept. Give a single value.")


def _locate(
    lists: Sequence[Sequence[str]], hydra: Sequence[str], compose: Callable[[Sequence[str]], DictConfig], foreign: bool
) -> list[SweepJob]:
    """Compose each combination of group choices once, and each job only if its directory depends on its values."""
    composed: dict[tuple[str, ...], DictConfig] = {}
    located = []

    def compose_named(overrides: Sequence[str]) -> DictConfig:
        try:
            return compose([*hydra, *overrides])
        except NasError as error:
            own = " ".join(line for line in overrides if any(line not in other for other in lists))
            removed = next((line for line in overrides if is_removal_of_unknown(line, error)), None)
            if own and removed is not None and any(_composes([*hydra, *other], compose) for other in lists):
                raise _not_in_every_job(own, removed) from None
            raise NasError(f"{own}: {error}" if own else str(error)) from None

    for number, overrides in enumerate(lists):
        choices = tuple(line for line in overrides if (CONF / key_of(line)).is_dir() or "/" in key_of(line) or foreign)
        cfg = composed.get(choices)
        if cfg is None:
            cfg = composed[choices] = compose_named(overrides)
        elif not _is_constant(cfg):
            cfg = compose_named(overrides)
        directories = run_directories(cfg, number)
        if set(directories) - {"hydra.sweep.subdir", "paths.output"}:  # they may depend on any value
            directories = run_directories(compose([*hydra, *overrides]), number)
        located.append(SweepJob(number, tuple(overrides), directories))
    return located


def _composes(overrides: Sequence[str], compose: Callable[[Sequence[str]], DictConfig]) -> bool:
    try:
        compose(overrides)
    except NasError:
        return False
    return True


def _not_in_every_job(own: str, removal: str) -> NasError:
    """Return the error for a job without the key of ``~key``, which other jobs of the sweep have."""
    line = removal.removesuffix("=null").removesuffix("=")
    return NasError(
        f"{line}: {own} has no {line[1:]}, and a sweep removes it in each job. Run {own} in a command without {line}."
    )


def _is_constant(cfg: DictConfig) -> bool:
    """Return whether the directories of a job depend on nothing but group choices and its number."""
    texts = [unresolved(cfg, key) for key in ("hydra.sweep.dir", "hydra.sweep.subdir", "paths.output")]
    return all("${" not in re.sub(CONSTANT + r"|\$\{mode\}", "", text) for text in texts)
