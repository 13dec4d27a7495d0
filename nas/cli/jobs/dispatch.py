"""Choice of the job by ``mode``: search or rank_proxies of search.py; train, eval or export of train.py."""

from __future__ import annotations

from hydra import compose
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from nas.cli.checks.dataset_values import check_dataset_values
from nas.cli.checks.options import check_options
from nas.cli.checks.values import check_config
from nas.cli.overrides.complete import complete_job


def run_job(cfg: DictConfig) -> float | None:
    """Check the configuration and run its mode.

    Returns:
        The accuracy in percent, for sweeps that optimize it; None if the mode has none.
    """
    _check(cfg)
    completed = complete_job() if "training" in cfg else None
    if completed is not None:
        cfg = completed
        _check(cfg)
    _check_job_of_sweep(cfg)
    # each job is imported on its own: an evaluation needs nothing of a search
    if cfg.mode == "search":
        from nas.cli.jobs.search import run as search

        return search(cfg)
    if cfg.mode == "rank_proxies":
        from nas.cli.jobs.rank_proxies import run as rank_proxies

        return rank_proxies(cfg)
    if cfg.mode == "eval":
        from nas.cli.jobs.evaluate import run as evaluate

        return evaluate(cfg)
    if cfg.mode == "export":
        from nas.cli.jobs.export import run as export

        export(cfg)
        return None
    from nas.cli.jobs.train import run as train

    return train(cfg)


def _check_job_of_sweep(cfg: DictConfig) -> None:
    """Check what ``nas.cli.main`` checks for a single run before Hydra writes anything."""
    hydra = HydraConfig.get()
    if hydra.mode == RunMode.MULTIRUN:
        name = str(hydra.job.config_name)
        check_dataset_values(hydra.overrides.task, cfg, lambda lines: compose(name, lines, return_hydra_config=True))


def _check(cfg: DictConfig) -> None:
    check_config(cfg)
    check_options(cfg)
