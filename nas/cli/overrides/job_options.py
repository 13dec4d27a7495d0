"""Single values of a sweep that its jobs have, but not the configuration of the sweep itself."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import yaml
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nas.cli.overrides.conf_dir import CONF
from nas.cli.overrides.hydra_internals import Override, refused_key
from nas.cli.overrides.parse import key_of, parse
from nas.utils.errors import NasError

GRID = "hparams_search"
"""Group whose files set ``hydra.sweeper.params``."""


class JobOptions(NamedTuple):
    """Overrides of a sweep.

    Attributes:
        arguments: overrides for Hydra.
        of_first_job: overrides that compose the first job: if an override was deferred, with the values of the grid
            that the command line does not replace, and without the overrides ``~key`` whose key it may lack.
    """

    arguments: list[str]
    of_first_job: list[str]


def defer_to_jobs(job: str, arguments: Sequence[str], flags: argparse.Namespace) -> JobOptions:
    """Rewrite the single values of a sweep that only its jobs have, as ``key=choice(value)``.

    Hydra composes the configuration of the sweep itself from the single values and the default choice of each swept
    group. In ``-m method=random_search,bohb method.repetitions=5`` the default method has no repetitions. A dimension
    with one value is read by the jobs alone, whose overrides do not change. An override ``~key`` cannot have several
    values, and ``jobs_remove_keys`` leaves it to the jobs.

    Args:
        job: "search" or "train".
        arguments: overrides of the command line.
        flags: Hydra's flags.
    """
    parts = parse(arguments)
    if not any(part.key_or_group == GRID or part.is_sweep_override() and _is_group(part) for part in parts):
        return JobOptions(list(arguments), list(arguments))
    single = [part for part in parts if not part.is_sweep_override()]
    more = [] if flags.config_dir is None else [f"hydra.searchpath=['file://{Path(flags.config_dir).absolute()}']"]
    deferred: dict[str, str] = {}
    with initialize_config_dir(str(CONF), job_name=job, version_base="1.3"):
        while True:
            lines = [str(part.input_line) for part in single if part.input_line not in deferred]
            try:
                cfg = compose(job, [*lines, *more], return_hydra_config=True)
                break
            except (HydraException, OmegaConfBaseException) as error:
                found = _deferred(error, [part for part in single if part.input_line not in deferred])
            except (yaml.YAMLError, ValueError, TypeError, AttributeError):
                found = {}
            if not found:  # compose_job reports the error
                return JobOptions(list(arguments), list(arguments))
            deferred |= found
    given, grid = [deferred.get(line, line) for line in arguments], _grid(cfg, arguments) if deferred else []
    removed = [line for line in deferred if line.startswith("~")]
    return JobOptions(given, [line for line in [*grid, *given] if line not in removed])


def _is_group(part: Override) -> bool:
    """Return whether the choice of another value may add keys, also by a group of the user."""
    return "." not in part.key_or_group


def _deferred(error: Exception, single: Sequence[Override]) -> Mapping[str, str]:
    """Return the rewritten overrides of the key that an error of the composition names, empty if there is none."""
    kind, key = refused_key(error) or ("", "")
    if kind != "unknown":
        return {}
    found = {}
    for part in single:
        line = str(part.input_line)
        value = line.partition("=")[2]
        if part.key_or_group != key or part.is_hydra_override():
            continue
        if part.is_delete():
            found[line] = line
        elif value:
            found[line] = _one_value(part.get_key_element(), value)
    return found


def _one_value(key: str, value: str) -> str:
    """Return a dimension with one value. ``choice`` does not accept null, which is added to the sweep instead."""
    try:
        parse([f"{key}=choice({value})"])
    except NasError:
        return f"++{key.lstrip('+')}={value}"
    return f"{key}=choice({value})"


def _grid(cfg: DictConfig, arguments: Sequence[str]) -> list[str]:
    given = {key_of(line) for line in arguments}
    grid = OmegaConf.select(cfg, "hydra.sweeper.params") or {}
    return [f"{key}={values}" for key, values in grid.items() if key_of(str(key)) not in given]
