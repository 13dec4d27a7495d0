"""Choice of the job by ``mode``: search or rank_proxies of search.py; train, eval or export of train.py."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable

from hydra import compose
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from nas.cli.checks.dataset_values import check_dataset_values
from nas.cli.checks.options import check_options
from nas.cli.checks.trainer import check_strategy
from nas.cli.checks.values import check_config
from nas.cli.errors import full_errors
from nas.cli.overrides.complete import complete_job
from nas.cli.overrides.working_directory import make_paths_absolute, original_directory
from nas.cli.run_dir.begin import begin_output
from nas.cli.run_dir.task_overrides import task_overrides
from nas.cli.run_dir.terminal import finish_panel
from nas.cli.startup import defer_imports, fast_imports


def run_job(cfg: DictConfig) -> float | None:
    """Check the configuration and run its mode.

    Returns:
        The accuracy in percent, for sweeps that optimize it; None if the mode has none.
    """
    with fast_imports():
        defer_imports()
        if OmegaConf.select(cfg, "extras.quiet", default=True):
            _silence_warnings()
        _check(cfg)
        with original_directory():
            completed = complete_job() if "training" in cfg else None
        if completed is not None:
            completed.ckpt_path = cfg.ckpt_path  # set by a job that is resumed
            cfg = completed
            make_paths_absolute(cfg)
            _check(cfg)
        _check_job_of_sweep(cfg)
        job = _import_job("seeds" if cfg.get("seeds") is not None else cfg.mode)
        from nas.cli.own_parts import own_parts_in_use  # imported here, because it needs torch
    with own_parts_in_use(cfg):
        begin_output(cfg)
        try:
            return job(cfg)
        finally:
            finish_panel()  # the rows before an error


def _import_job(mode: str) -> Callable[[DictConfig], float | None]:
    """Import only the job of a mode, because an evaluation needs no modules of a search."""
    if mode == "seeds":
        from nas.cli.jobs.seeds import run as search_seeds

        return search_seeds
    if mode == "search":
        from nas.cli.jobs.search import run as search

        return search
    if mode == "rank_proxies":
        from nas.cli.jobs.rank_proxies import run as rank_proxies

        return rank_proxies
    if mode == "eval":
        from nas.cli.jobs.evaluate import run as evaluate

        return evaluate
    if mode == "export":
        from nas.cli.jobs.export import run as export

        return export
    from nas.cli.jobs.train import run as train

    return train


def _check_job_of_sweep(cfg: DictConfig) -> None:
    """Check the values of the data set, as ``nas.cli.main`` does for a single run before Hydra writes anything."""
    hydra = HydraConfig.get()
    if hydra.mode == RunMode.MULTIRUN:
        name = str(hydra.job.config_name)
        check_dataset_values(task_overrides(), cfg, lambda lines: compose(name, lines, return_hydra_config=True))


def _check(cfg: DictConfig) -> None:
    check_config(cfg)
    check_strategy(cfg.trainer.get("strategy"))
    check_options(cfg)


def _silence_warnings() -> None:
    """Silence start messages of Lightning, messages on damaged compiled code, and logging's report of a full disk."""
    import pytorch_lightning  # noqa: F401, its import resets the level

    logging.raiseExceptions = full_errors()
    for name in ("pytorch_lightning", "lightning_fabric"):  # the latter prints a line per rank
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("torch._inductor.codecache").setLevel(logging.ERROR)  # it compiles again what it cannot read
    warnings.filterwarnings("ignore", message=".*LeafSpec.*is deprecated")
    warnings.filterwarnings("ignore", message=".*does not have many workers")
    warnings.filterwarnings("ignore", message=".*passed in a `val_dataloader` but have no `validation_step`")
    warnings.filterwarnings("ignore", message=".*callbacks used to create the checkpoint need to be provided")
    warnings.filterwarnings("ignore", message="You're resuming from a checkpoint that ended before the epoch ended")
    warnings.filterwarnings("ignore", message="The dirpath has changed")
    warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")
