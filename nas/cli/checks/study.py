"""Check of a sweep by Optuna before its first trial."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence

from hydra.errors import HydraException
from omegaconf import DictConfig

from nas.cli.launchers.options import check_plugins
from nas.cli.overrides.conf_dir import CONF
from nas.cli.overrides.hydra_internals import BASIC_LAUNCHER, SweptValues, read_sweep
from nas.cli.study.options import read_options
from nas.utils.errors import NasError, one_line


def check_study(
    cfg: DictConfig, grid: Sequence[str], arguments: Sequence[str], compose: Callable[[Sequence[str]], DictConfig]
) -> None:
    """Raise NasError for a study that cannot run. Each choice of a group is composed once.

    Args:
        cfg: configuration of the first job with Hydra's part.
        grid: overrides of ``hydra.sweeper.params``.
        arguments: overrides of the command line without those of Hydra.
        compose: function that composes a list of overrides with one value each.
    """
    if importlib.util.find_spec("optuna") is None:
        raise NasError("hydra/sweeper=optuna: Optuna is not installed. Run pip install 'nas-compose[optuna]'.")
    check_plugins("hydra/sweeper=optuna")
    options = read_options(cfg)
    if options.sampler["_target_"].endswith(".CmaEsSampler") and importlib.util.find_spec("cmaes") is None:
        raise NasError(
            "hydra/sweeper/sampler=cma_es: the package cmaes is not installed. Run pip install 'nas-compose[optuna]'."
        )
    if options.jobs > 1 and cfg.hydra.launcher._target_ == BASIC_LAUNCHER:
        raise NasError(
            f"hydra.sweeper.n_jobs={options.jobs}: Hydra's basic launcher runs one job at a time. Add "
            "hydra/launcher=joblib, or start the command several times with hydra.sweeper.storage=FILE."
        )
    try:
        fixed, swept = read_sweep([*grid, *arguments])
    except HydraException as error:
        raise NasError(f"hydra.sweeper.params: {one_line(error)}") from None
    if not swept:
        raise NasError(
            "hydra/sweeper=optuna: no value is searched. Give an interval or a list, such as "
            "'method.arch_step.optimizer.lr=tag(log,interval(1e-4,1e-2))'."
        )
    # imported here, because it needs Optuna
    from nas.cli.study.search_space import SearchSpace

    space = SearchSpace(fixed, swept)
    space.distributions()
    if options.sampler["_target_"].endswith(".GridSampler"):
        space.grid()
    first = [_first(values) for values in swept]
    compose([*fixed, *first])
    for position, values in enumerate(swept):
        for text in values.texts[1:] if (CONF / values.key.lstrip("+")).is_dir() else ():
            compose([*fixed, *first[:position], f"{values.key}={text}", *first[position + 1 :]])


def _first(values: SweptValues) -> str:
    value = values.texts[0] if values.texts else str(values.bounds[0] if values.bounds else "")
    return f"{values.key}={value}"
