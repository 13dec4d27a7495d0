"""Choices and values of an experiment of the user for train.py, which take precedence over inherited ones."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nas.cli.overrides.conf_dir import CONF
from nas.cli.overrides.hydra_internals import set_by_file
from nas.cli.overrides.parse import value_of
from nas.cli.overrides.search_path import is_choice, searchpath_overrides
from nas.utils.errors import NasError

GROUP = "experiment"
RUNS = ("genotype", "weights", "ckpt_path")
"""Keys that name another run."""


def named_by_experiment(arguments: Sequence[str], path: Sequence[Path] = (CONF,)) -> list[str]:
    """Return what the experiment of a command line of train.py chooses and sets, as lines ``key=value``.

    The lines only show which keys the experiment names; Hydra reads the file itself. A file that cannot be composed
    names nothing, because the composition of the command line reports it.

    Args:
        arguments: a command line of one job.
        path: directories of the user's configuration.

    Raises:
        NasError: if the name of a run in the file refers to another key.
    """
    name = value_of(arguments, GROUP)
    if name is None or not is_choice(GROUP, name, path):
        return []
    within = GlobalHydra.instance().is_initialized()  # in a job of a sweep
    lines = [f"{GROUP}={name}", *([] if within else searchpath_overrides(path))]
    try:
        with nullcontext() if within else initialize_config_dir(str(CONF), version_base="1.3"):
            pairs = set_by_file("train", f"{GROUP}/{name}", lines)
    except (HydraException, OmegaConfBaseException, ValueError, TypeError, AttributeError):
        return []
    return [f"{key}={'null' if value is None else _resolved(key, value, name)}" for key, value in pairs]


def _resolved(key: str, value: Any, experiment: str) -> Any:
    """Resolve an interpolation of the environment. Raises NasError for other ones in a key that names a run."""
    if not isinstance(value, str) or "${" not in value:
        return value
    try:
        return OmegaConf.create({"value": value}).value
    except OmegaConfBaseException:
        if key not in RUNS:
            return value
        raise NasError(f"experiment={experiment}: {key}={value} refers to another key. Set the value itself.") from None
