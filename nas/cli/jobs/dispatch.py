"""Choice of the job by ``mode``: search or rank_proxies of search.py; train, eval or export of train.py."""

from __future__ import annotations

from omegaconf import DictConfig

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


def _check(cfg: DictConfig) -> None:
    check_config(cfg)
    check_options(cfg)
