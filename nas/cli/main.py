"""What happens around a job: before Hydra reads the command line, and when something fails."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from nas.cli.errors import explain
from nas.cli.jobs.dispatch import check_mode
from nas.cli.overrides.benchmark_coverage import check_queries
from nas.cli.overrides.compose import check_config, composed
from nas.cli.overrides.parse import check_choices, override, readable
from nas.cli.overrides.resume import continue_run
from nas.cli.overrides.signatures import check_options
from nas.cli.run_dir.layout import check_directory, holds_repetitions, holds_scan, last_checkpoint
from nas.utils.errors import NasError

FAILURE_FILE = "failure.txt"
INTERRUPTED = 130  # the exit code of a process that Ctrl-C stopped


def launch(main: Callable[[], Any], job: str, *rewrites: Callable[[list[str]], list[str]]) -> None:
    """The entry point: checks and completes the command line, then lets Hydra run ``main``.

    A mistake ends the process with one line on stderr and exit code 1, before Hydra writes anything.
    """
    try:
        sys.argv[1:] = prepare(job, sys.argv[1:], *rewrites)
        main()
    except NasError as error:
        if full_errors():
            raise
        tell(str(error))
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        if full_errors():
            raise
        tell("interrupted before the run began")
        raise SystemExit(INTERRUPTED) from None


def prepare(job: str, arguments: Sequence[str], *rewrites: Callable[[list[str]], list[str]]) -> list[str]:
    """The command line as Hydra shall read it: its flags, then the overrides. Raises NasError for a mistake in it."""
    flags, unknown_flags = get_args_parser().parse_known_intermixed_args(arguments)
    if unknown_flags:
        raise NasError(f"unknown option {unknown_flags[0]}: overrides are key=value; --hydra-help lists the options")
    given = list(flags.overrides)
    options = [argument for argument in arguments if argument not in given]
    given = [readable(argument) for argument in given]
    if any((flags.help, flags.hydra_help, flags.info, flags.shell_completion, flags.experimental_rerun)):
        return options + given
    foreign = flags.config_path or flags.config_name  # another configuration altogether: it is Hydra's to judge
    if not (foreign or flags.config_dir or override(given, "hydra.searchpath")):
        check_choices(given)
    if job == "train":
        check_mode(given)
    given = continue_run(given, job, bool(flags.multirun))
    for rewrite in rewrites:
        given = rewrite(given)
    if not foreign:
        cfg = composed(job, given, flags)
        if not flags.cfg:
            check_config(cfg)
            if "submitit" not in cfg.hydra.launcher._target_:  # that one starts the processes of a job itself
                refuse_nested_ddp(cfg, bool(flags.multirun))
            check_directory(cfg, bool(flags.multirun))
            if not flags.multirun:  # each job of a sweep tells its own
                check_queries(cfg)
    return options + given


def guarded(run: Callable[[DictConfig], float | None], cfg: DictConfig) -> float | None:
    """Runs a job; a mistake of the user becomes one line and exit code 1.

    In a sweep the line goes to the job's directory too, the other jobs run, and the table at the end tells.
    """
    _quiet()
    try:
        check_config(cfg)
        check_options(cfg)
        return run(cfg)
    except (KeyboardInterrupt, SystemExit) as stop:
        if not _interrupted(stop) or full_errors():
            raise
        tell(_how_to_go_on(cfg))
        raise SystemExit(INTERRUPTED) from None
    except Exception as error:
        message = explain(error)
        if message is None or full_errors():
            raise
        tell(message)
        if HydraConfig.get().mode != RunMode.MULTIRUN:
            raise SystemExit(1) from None
        Path(cfg.paths.output, FAILURE_FILE).write_text(message + "\n")
        return float("nan")


def tell(message: str) -> None:
    """One line on stderr, and in the run's log file where there is one."""
    rank = os.environ.get("LOCAL_RANK", "0")
    line = f"error: {message}" if rank == "0" else f"error on rank {rank}: {message}"
    print(line, file=sys.stderr, flush=True)
    record = logging.LogRecord(__name__, logging.ERROR, __file__, 0, line, None, None)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler):
            handler.handle(record)


def full_errors() -> bool:
    """Whether the user asked for tracebacks."""
    return os.environ.get("HYDRA_FULL_ERROR", "0") == "1"


def refuse_nested_ddp(cfg: Any, sweeping: bool | None = None) -> None:
    """Raises NasError where Lightning would start a second sweep inside each process of a sweep's job."""
    sweeping = HydraConfig.get().mode == RunMode.MULTIRUN if sweeping is None else sweeping
    several = cfg.trainer.devices not in (1, "1", "auto") and cfg.trainer.strategy not in ("auto", None)
    launched = any(name in os.environ for name in ("LOCAL_RANK", "SLURM_PROCID", "TORCHELASTIC_RUN_ID"))
    if sweeping and several and not launched:
        raise NasError(
            "-m with a trainer of several processes would start the sweep again in each of them: run the jobs one by "
            "one without -m (for s in 0 1 2; do python search.py seed=$s trainer=ddp; done), "
            "or let hydra/launcher=submitit_slurm start the processes"
        )


def _quiet() -> None:
    """Leaves out what Lightning says of itself at every start, and what logging says of a full disk."""
    import pytorch_lightning  # noqa: F401, its import sets the level anew

    logging.raiseExceptions = full_errors()
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*LeafSpec.*is deprecated")
    warnings.filterwarnings("ignore", message=".*does not have many workers")
    warnings.filterwarnings("ignore", message=".*passed in a `val_dataloader` but have no `validation_step`")
    warnings.filterwarnings("ignore", message="The dirpath has changed")
    warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")


def _interrupted(stop: BaseException) -> bool:
    """Whether Ctrl-C or SIGTERM is behind an exit: Lightning turns both into SystemExit."""
    cause: BaseException | None = stop
    while cause is not None:
        if isinstance(cause, KeyboardInterrupt) or type(cause).__name__ == "SIGTERMException":
            return True
        cause = cause.__context__
    return False


def _how_to_go_on(cfg: DictConfig) -> str:
    output = Path(cfg.paths.output)
    if holds_scan(output):
        return f"interrupted: all scores so far are kept; go on with ckpt_path={output}"
    if holds_repetitions(output):
        return f"interrupted: all repetitions that have ended are kept; go on with ckpt_path={output}"
    if last_checkpoint(output) is None:
        return f"interrupted before the first epoch ended: there is no checkpoint in {output}; start it anew"
    return f"interrupted: the last whole epoch is kept; go on with ckpt_path={output}"
