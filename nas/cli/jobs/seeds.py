"""Searches of one configuration with several seeds in one process: python search.py seeds=[0,1,2,3]."""

from __future__ import annotations

import logging
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytorch_lightning as pl
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from nas.callbacks.recording.own_tensors import OwnTensors
from nas.cli.build import set_threads
from nas.cli.checks.outputs import other_outputs
from nas.cli.interrupt import is_interrupt
from nas.cli.jobs.joint_search import SWITCHES, find_obstacle
from nas.cli.jobs.search import run as search
from nas.cli.overrides.parse import key_of
from nas.cli.run_dir.failure import report_failure
from nas.cli.run_dir.job_record import JobRecord
from nas.cli.run_dir.layout import seed_directory
from nas.cli.run_dir.record import save_record
from nas.cli.run_dir.seed_log import labeled_log
from nas.cli.run_dir.sweep_table import report_sweep
from nas.searches.base import Search
from nas.searches.gradient import GradientSearch
from nas.searches.joint_steps import JointSteps
from nas.utils.errors import NasError

log = logging.getLogger(__name__)
Join = Callable[[Search], Sequence[pl.Callback]]


def run(cfg: DictConfig) -> float | None:
    """Search with each of ``seeds``, write their run directories and a table, and return the mean of the results.

    The searches execute their steps together if the configuration supports it, and run one after another otherwise. A
    failed search does not end the other searches, and leads to exit code 1.
    """
    output = Path(cfg.paths.output).absolute()
    configs = [_config_of(cfg, output, int(seed)) for seed in cfg.seeds]
    obstacle = find_obstacle(configs[0])
    planned = [JobRecord(number, part.paths.output, (f"seed={part.seed}",)) for number, part in enumerate(configs)]
    for part in configs:
        folder = Path(part.paths.output) / ".hydra"
        folder.mkdir(parents=True, exist_ok=True)
        save_record(folder, part, _overrides_of(part.seed))
    try:
        if obstacle is None:
            log.info("seeds          %d searches execute their steps together", len(configs))
            values = _run_together(configs, planned, output)
        else:
            log.info("seeds          %d searches run one after another: %s", len(configs), obstacle)
            pairs = zip(configs, planned, strict=True)
            values = [_run_one(part, record, output) for part, record in pairs]
    finally:
        succeeded = report_sweep(output, "search", planned)
    if not succeeded:
        raise SystemExit(1)
    found = [value for value in values if value is not None]
    return statistics.fmean(found) if found else None


def _config_of(cfg: DictConfig, output: Path, seed: int) -> DictConfig:
    """Return the configuration of the search with one seed."""
    found = OmegaConf.create(OmegaConf.to_container(cfg, resolve=False))
    assert isinstance(found, DictConfig)
    OmegaConf.set_struct(found, True)
    with read_write(found), open_dict(found):
        found.seed, found.seeds = seed, None
        found.paths.output = str(seed_directory(output, seed))
        found.trainer.enable_progress_bar = False
    outside = other_outputs(found, [Path(found.paths.output)])
    if outside:
        option, directory = next(iter(outside.items()))
        raise NasError(f"{option}={directory}: all seeds would write to this directory. Leave it out.")
    return found


def _overrides_of(seed: int) -> list[str]:
    """Return the overrides of the search with one seed."""
    task = [line for line in HydraConfig.get().overrides.task if key_of(line) not in ("seed", "seeds", "paths.output")]
    return [*task, f"seed={seed}"]


def _run_together(configs: Sequence[DictConfig], records: Sequence[JobRecord], output: Path) -> list[float | None]:
    """Run the searches in threads. Between the common steps only one thread runs at a time."""
    joint = JointSteps()
    tasks = []
    for number, (cfg, record) in enumerate(zip(configs, records, strict=True)):
        with read_write(cfg), open_dict(cfg):
            cfg.update(dict.fromkeys(SWITCHES, False))  # auto: no effect on common steps
            if cfg.callbacks.get("cpu_budget"):
                cfg.callbacks.cpu_budget.shared = True
        tasks.append(partial(_run_one, cfg, record, output, partial(_join, joint, number)))
    set_threads(configs[0])
    outcomes = joint.lockstep.run(tasks, [f"seed={cfg.seed}" for cfg in configs])
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return outcomes


def _join(joint: JointSteps, number: int, searched: Search) -> list[pl.Callback]:
    assert isinstance(searched, GradientSearch)
    joint.join(number, searched)
    return [OwnTensors()]


def _run_one(cfg: DictConfig, record: JobRecord, output: Path, join: Join | None = None) -> float | None:
    """Run the search with one seed and record its end; return None if it fails."""
    record.save(output)
    failure: str | None = "interrupted"
    try:
        with labeled_log(f"seed={cfg.seed}"):
            value = search(cfg, join)
        failure = None
        return value
    except (Exception, SystemExit) as error:
        if is_interrupt(error):
            raise KeyboardInterrupt from error
        failure = report_failure(error, Path(cfg.paths.output), keep_line=True)
        return None
    finally:
        replace(record, ended=True, failure=failure).save(output)
