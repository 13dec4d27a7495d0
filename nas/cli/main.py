"""Path of a command line: parse, complete and check it, let Hydra run the job, report its errors in one line."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from nas.cli.checks.arguments import check_choices, check_mode
from nas.cli.checks.dataset_values import check_dataset_values
from nas.cli.checks.directory import check_directory
from nas.cli.checks.processes import refuse_nested_ddp
from nas.cli.checks.values import check_config, check_grid
from nas.cli.errors import explain
from nas.cli.interrupt import INTERRUPTED, how_to_resume, is_interrupt
from nas.cli.jobs.dispatch import run_job
from nas.cli.overrides.complete import complete
from nas.cli.overrides.compose import compose_job
from nas.cli.overrides.hydra_internals import split_arguments
from nas.cli.overrides.parse import quote_texts, value_of
from nas.cli.run_dir.layout import FAILURE_FILE
from nas.utils.errors import NasError


def launch(main: Callable[[], Any], job: str) -> None:
    """Check and complete the command line of ``job`` ("search" or "train"), then let Hydra run ``main``.

    A mistake ends the process with one line on stderr and exit code 1, before Hydra writes anything.
    """
    try:
        sys.argv[1:] = prepare(job, sys.argv[1:])
        main()
    except NasError as error:
        if full_errors():
            raise
        log_error(str(error))
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        if full_errors():
            raise
        log_error("interrupted before the run started")
        raise SystemExit(INTERRUPTED) from None


def prepare(job: str, arguments: Sequence[str]) -> list[str]:
    """Return the command line for Hydra: its flags, then the overrides. Raises NasError for a mistake in it."""
    flags, unknown_flags = split_arguments(arguments)
    if unknown_flags:
        raise NasError(f"unknown option {unknown_flags[0]}. Overrides are key=value; --hydra-help lists the options.")
    given = list(flags.overrides)
    options = [argument for argument in arguments if argument not in given]
    given = [quote_texts(argument) for argument in given]
    if any((flags.help, flags.hydra_help, flags.info, flags.shell_completion, flags.experimental_rerun)):
        return options + given
    check_mode(job, given)
    foreign = flags.config_path or flags.config_name  # another configuration altogether, which Hydra checks
    if not (foreign or flags.config_dir or value_of(given, "hydra.searchpath")):
        check_choices(given)
    given = complete(given, job, bool(flags.multirun))
    if not foreign:
        cfg = compose_job(job, given, flags)
        if OmegaConf.select(cfg, "extras.tracebacks", default=False):
            os.environ["HYDRA_FULL_ERROR"] = "1"
        if not flags.cfg:
            _check(cfg, bool(flags.multirun))
            if not flags.multirun:  # each job of a sweep checks itself
                check_dataset_values(given, cfg, lambda lines: compose_job(job, lines, flags))
    return options + given


def _check(cfg: DictConfig, sweeping: bool) -> None:
    """Raise NasError for a configuration that no run can have, or whose output directory is taken."""
    check_config(cfg)
    check_grid(cfg, sweeping)
    if "submitit" not in cfg.hydra.launcher._target_:  # submitit starts the processes of a job itself
        refuse_nested_ddp(cfg, sweeping)
    check_directory(cfg, sweeping)
    if not sweeping and cfg.mode == "search" and "evaluator" in cfg.method:  # each job of a sweep reports its own
        # imported here, because it needs torch and other mistakes should be reported without waiting for that
        from nas.cli.jobs.benchmark_coverage import check_benchmark_coverage

        check_benchmark_coverage(cfg)


def run_with_error_handling(cfg: DictConfig) -> float | None:
    """Run a job; a mistake of the user ends the process with one line and exit code 1.

    In a sweep, the line is also written to the directory of the job, and the remaining jobs run.
    """
    if OmegaConf.select(cfg, "extras.quiet", default=True):
        _silence_warnings()
    try:
        return run_job(cfg)
    except (KeyboardInterrupt, SystemExit) as stop:
        if not is_interrupt(stop) or full_errors():
            raise
        log_error(how_to_resume(Path(cfg.paths.output)))
        raise SystemExit(INTERRUPTED) from None
    except Exception as error:
        message = explain(error)
        if message is None or full_errors():
            raise
        log_error(message)
        if HydraConfig.get().mode != RunMode.MULTIRUN:
            raise SystemExit(1) from None
        Path(cfg.paths.output, FAILURE_FILE).write_text(message + "\n")
        return float("nan")


def log_error(message: str) -> None:
    """Print one line on stderr, and append it to the log file of the run if there is one."""
    rank = os.environ.get("LOCAL_RANK", "0")
    line = f"error: {message}" if rank == "0" else f"error on rank {rank}: {message}"
    print(line, file=sys.stderr, flush=True)
    record = logging.LogRecord(__name__, logging.ERROR, __file__, 0, line, None, None)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler):
            handler.handle(record)


def full_errors() -> bool:
    """Return whether tracebacks are enabled (HYDRA_FULL_ERROR=1)."""
    return os.environ.get("HYDRA_FULL_ERROR", "0") == "1"


def _silence_warnings() -> None:
    """Silence Lightning's messages at every start, and logging's own report of a full disk."""
    import pytorch_lightning  # noqa: F401, its import resets the level

    logging.raiseExceptions = full_errors()
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*LeafSpec.*is deprecated")
    warnings.filterwarnings("ignore", message=".*does not have many workers")
    warnings.filterwarnings("ignore", message=".*passed in a `val_dataloader` but have no `validation_step`")
    warnings.filterwarnings("ignore", message="The dirpath has changed")
    warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")
