"""Searches of one configuration with several seeds in one process: python search.py seeds=[0,1,2,3]."""

from __future__ import annotations

import logging
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytorch_lightning as pl
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from nas.callbacks.guards.stop_signal import StopRequest, shared_request
from nas.callbacks.recording.compact_checkpoints import CompactCheckpoints
from nas.cli.build import chosen_names, set_threads
from nas.cli.checks.batch import apply_plan
from nas.cli.checks.outputs import other_outputs
from nas.cli.interrupt import how_to_resume, not_requeued, requeue
from nas.cli.jobs.joint_search import SWITCHES, find_obstacle
from nas.cli.jobs.search import result_of
from nas.cli.jobs.search import run as search
from nas.cli.run_dir.checkpoints import read_checkpoint
from nas.cli.run_dir.course import check_course, check_length
from nas.cli.run_dir.failure import report_failure
from nas.cli.run_dir.job_record import JobRecord
from nas.cli.run_dir.launch import restart_count
from nas.cli.run_dir.layout import (
    RESULTS,
    SUMMARY_FILE,
    checkpoint_file,
    checkpoints_of_seeds,
    last_checkpoint,
    remove_failure,
    seed_directory,
)
from nas.cli.run_dir.record import save_record
from nas.cli.run_dir.resume import prepare_resume
from nas.cli.run_dir.seed_log import SAME_FOR_ALL_SEEDS, labeled_log
from nas.cli.run_dir.summary import read_summary
from nas.cli.run_dir.sweep_print import print_next
from nas.cli.run_dir.sweep_table import report_sweep
from nas.searches.base import Search
from nas.searches.gradient import GradientSearch
from nas.searches.joint_steps import JointSteps
from nas.utils.errors import NasError, is_interrupt
from nas.utils.user_path import user_path

log = logging.getLogger(__name__)
Join = Callable[[Search], Sequence[pl.Callback]]


def run(cfg: DictConfig) -> float | None:
    """Search with each of ``seeds``, write their run directories and a table, and return the mean of the results.

    The searches execute their steps together if the configuration supports it, and run one after another otherwise. A
    failed search does not end the other searches, and leads to exit code 1. After SIGUSR1 all searches end, and a
    restart of the same command resumes them. With ``ckpt_path``, the directory of an interrupted run, its finished
    searches are kept and the remaining ones are resumed.

    Raises:
        NasError: if a search cannot be resumed; nothing has been changed then.
    """
    output = Path(cfg.paths.output).absolute()
    configs = [_config_of(cfg, output, int(seed)) for seed in cfg.seeds]
    obstacle = find_obstacle(configs[0])
    planned = [JobRecord(number, part.paths.output, (f"seed={part.seed}",)) for number, part in enumerate(configs)]
    for part in configs:
        _check_resume(part)
        if _is_finished(part):
            read_summary(Path(part.paths.output))
        if cfg.ckpt_path is not None and _is_finished(part):
            _check_finished(part)
    if cfg.ckpt_path is not None and (output / ".hydra").is_dir():
        save_record(output / ".hydra", cfg)  # a further resume has the present options
    remove_failure(output)
    for part in (part for part in configs if not _is_finished(part)):
        folder = Path(part.paths.output) / ".hydra"
        folder.mkdir(parents=True, exist_ok=True)
        save_record(folder, part)
    finished = [_finished_value(part, record, output) for part, record in zip(configs, planned, strict=True)]
    remaining = [
        (part, record) for part, record, value in zip(configs, planned, finished, strict=True) if value is None
    ]
    how = "execute their steps together" if obstacle is None else f"run one after another: {obstacle}"
    log.info("seeds          %d searches %s", len(remaining), how)
    try:
        with shared_request() as request:
            run_all = _run_in_turn if obstacle is not None or not remaining else _run_together
            values = run_all(remaining, output, request)
    finally:
        succeeded = report_sweep(output, "search", planned)
    if request.received is not None and not all(_is_finished(part) for part, _ in remaining):
        _report_stop(output)
        return None
    print_next(output)
    if not succeeded:
        raise SystemExit(1)
    results = [value for value in [*finished, *values] if value is not None and not math.isnan(value)]
    return statistics.fmean(results) if results else None


def _is_finished(cfg: DictConfig) -> bool:
    return Path(cfg.paths.output, SUMMARY_FILE).is_file()


def _check_resume(cfg: DictConfig) -> None:
    """Raise NasError if a search cannot be resumed from its checkpoint."""
    checkpoint = checkpoint_file(cfg.ckpt_path)
    if checkpoint is not None:
        apply_plan(cfg)
        prepare_resume(cfg, checkpoint, **chosen_names(cfg))


def _check_finished(cfg: DictConfig) -> None:
    """Raise NasError if a finished search differs in its options from the resumed ones."""
    path = last_checkpoint(Path(cfg.paths.output))
    if path is not None:
        checkpoint = read_checkpoint(path)
        apply_plan(cfg)
        check_course(cfg, checkpoint, **chosen_names(cfg))
        check_length(cfg, checkpoint, path.parent.parent)


def _finished_value(cfg: DictConfig, record: JobRecord, output: Path) -> float | None:
    """Return the result of a search that an earlier attempt has finished; prepare an unfinished one.

    Its error is removed. Without a checkpoint, the logs of its first epoch are removed, too.

    Returns:
        NaN for a finished search without a result, None for one that is not finished.
    """
    directory = Path(cfg.paths.output)
    if not _is_finished(cfg):
        remove_failure(directory)
        for name in RESULTS if cfg.ckpt_path is None else ():
            (directory / name).unlink(missing_ok=True)
        return None
    replace(record, ended=True).save(output)
    value = result_of(read_summary(directory))
    return math.nan if value is None else value


def _run_in_turn(
    searches: Sequence[tuple[DictConfig, JobRecord]], output: Path, request: StopRequest
) -> list[float | None]:
    """Run searches one after another, until SIGUSR1 stops one."""
    values: list[float | None] = []
    for cfg, record in searches:
        if request.received is not None:
            break
        values.append(_run_one(cfg, record, output, request, first=not values))
    return values


def _report_stop(output: Path) -> None:
    """Log that SIGUSR1 has stopped the searches, and requeue their job of SLURM.

    Raises:
        NasError: if it cannot be requeued.
    """
    line = how_to_resume(output).removeprefix("interrupted: ")
    requeued = requeue(line.partition("To resume, run ")[2] or "the same command", output)
    end = f"{line}{not_requeued()}" if requeued is None else requeued
    log.info("unfinished     SIGUSR1 stopped the searches: %s", end)


def _config_of(cfg: DictConfig, output: Path, seed: int) -> DictConfig:
    """Return the configuration of the search with one seed."""
    config = OmegaConf.create(OmegaConf.to_container(cfg, resolve=False))
    assert isinstance(config, DictConfig)
    OmegaConf.set_struct(config, True)
    with read_write(config), open_dict(config):
        config.seed, config.seeds = seed, None
        config.paths.output = str(seed_directory(output, seed))
        config.ckpt_path = None if _is_finished(config) else _checkpoint(cfg, output, seed)
        config.trainer.enable_progress_bar = False
    outside = other_outputs(config, [Path(config.paths.output)])
    if outside:
        option, directory = next(iter(outside.items()))
        raise NasError(f"{option}={directory}: all seeds would write to this directory. Leave it out.")
    return config


def _checkpoint(cfg: DictConfig, output: Path, seed: int) -> str | None:
    """Return the checkpoint that a search is resumed from, None for a search from scratch."""
    run = user_path(cfg.ckpt_path) if cfg.ckpt_path is not None else output if restart_count() > 0 else None
    found = None if run is None else checkpoints_of_seeds(run, str(output)).get(seed)
    return None if found is None else str(found.absolute())


def _run_together(
    searches: Sequence[tuple[DictConfig, JobRecord]], output: Path, request: StopRequest
) -> list[float | None]:
    """Run searches in threads. Between the common steps only one thread runs at a time."""
    joint = JointSteps()
    tasks = []
    for number, (cfg, record) in enumerate(searches):
        with read_write(cfg), open_dict(cfg):
            cfg.update(dict.fromkeys(SWITCHES, False))  # auto: no effect on common steps
            if cfg.callbacks.get("cpu_budget"):
                cfg.callbacks.cpu_budget.shared = True
        tasks.append(partial(_run_one, cfg, record, output, request, number == 0, partial(_join, joint, number)))
    set_threads(searches[0][0])
    outcomes = joint.lockstep.run(tasks, [f"seed={cfg.seed}" for cfg, _ in searches])
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return outcomes


def _join(joint: JointSteps, number: int, searched: Search) -> list[pl.Callback]:
    assert isinstance(searched, GradientSearch)
    joint.join(number, searched)
    return [CompactCheckpoints()]


def _run_one(
    cfg: DictConfig, record: JobRecord, output: Path, request: StopRequest, first: bool, join: Join | None = None
) -> float | None:
    """Run the search with one seed and record its end; return None if it fails.

    Only the ``first`` search prints the common lines of all searches. Their log files have all lines.
    """
    record.save(output)
    failure: str | None = "interrupted"
    try:
        with labeled_log(f"seed={cfg.seed}", () if first else SAME_FOR_ALL_SEEDS):
            value = search(cfg, join)
        failure = "stopped by SIGUSR1" if request.received is not None and not _is_finished(cfg) else None
        return value
    except (Exception, SystemExit) as error:
        if is_interrupt(error):
            raise KeyboardInterrupt from error
        failure = report_failure(error, Path(cfg.paths.output), keep_line=True)
        return None
    finally:
        replace(record, ended=True, failure=failure).save(output)
