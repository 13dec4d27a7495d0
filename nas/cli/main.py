"""Path of a command line: parse, complete and check it, let Hydra run the job, report its errors in one line."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from nas.cli.checks.arguments import MODES, check_choices, check_effect, check_flags, check_mode
from nas.cli.checks.dataset_values import check_dataset_values
from nas.cli.checks.directory import run_directories
from nas.cli.checks.executor import check_executor
from nas.cli.checks.processes import check_processes
from nas.cli.checks.reserve import Plan, make_plan, reserved, reserved_by_job
from nas.cli.checks.restart import earlier_attempt
from nas.cli.checks.seeds import check_seeds
from nas.cli.checks.sweep_jobs import replace_grid
from nas.cli.checks.values import check_config, check_grid
from nas.cli.command_list import COMMANDS, describe_commands
from nas.cli.errors import explain, full_errors, log_error
from nas.cli.interrupt import (
    INTERRUPTED,
    end_with_parent,
    exit_on_signals,
    explain_end,
    how_to_resume,
    how_to_resume_sweep,
    interrupt_on_signals,
)
from nas.cli.jobs.dispatch import run_job
from nas.cli.jobs.reported_sweep import reported_sweep
from nas.cli.jobs.sweep_job import run_sweep_job
from nas.cli.launchers.options import check_launcher, prefer_own_launcher
from nas.cli.overrides.complete import complete
from nas.cli.overrides.compose import compose_job
from nas.cli.overrides.foreign_arguments import foreign_flag
from nas.cli.overrides.hydra_internals import adapt_help, jobs_remove_keys, known_mode, raise_errors, split_arguments
from nas.cli.overrides.installed import provide_choices
from nas.cli.overrides.job_options import defer_to_jobs
from nas.cli.overrides.parse import add_or_override, in_directory, key_of, quote, quote_texts, value_of
from nas.cli.overrides.program_groups import OTHER_GROUPS, SETTINGS
from nas.cli.overrides.resume import saved_lines
from nas.cli.overrides.search_path import search_path
from nas.cli.overrides.working_directory import make_paths_absolute
from nas.cli.run_dir.failure import report_failure
from nas.cli.run_dir.launch import adopt_submitit_ranks
from nas.cli.run_dir.layout import holds_run
from nas.cli.run_dir.rank_log import log_warnings_only
from nas.cli.run_dir.ranks import DIRECTORY, is_further_rank
from nas.cli.run_dir.refused import restored_if_refused
from nas.cli.run_dir.resume_command import sweep_command
from nas.cli.startup import defer_imports, fast_imports
from nas.utils.errors import NasError, error_chain, is_interrupt, unexplained
from nas.utils.program import program


def launch(main: Callable[[], Any], job: str) -> None:
    """Check and complete the command line of ``job`` ("search" or "train"), then let Hydra run ``main``.

    A mistake ends the process with one line on stderr and exit code 1, before Hydra writes anything. The directories of
    the run are locked until it ends.
    """
    interrupt_on_signals()
    raise_errors()
    command: Command | None = None
    typed = sys.argv[1:]
    try:
        with fast_imports(), exit_on_signals():
            command = prepare(job, typed)
        sys.argv[1:] = command.arguments
        if command.plan is None:
            main()
            return
        sweep = command.plan.sweep
        resume = None if sweep is None else sweep_command(in_directory(typed, sweep.absolute()), job)
        with reserved(command.plan) as added:
            sys.argv[1:] += added
            with (
                _restored_if_refused(command.plan),
                reported_sweep(command.plan, resume),
                known_mode(command.plan.cfg.hydra.mode),
                jobs_remove_keys(),
            ):
                main()
    except (Exception, KeyboardInterrupt) as error:
        if full_errors():
            raise
        if is_interrupt(error):  # also an error of a library that was interrupted
            if not _is_reported(error):
                log_error(_interrupted_line(command, job))
            raise SystemExit(INTERRUPTED) from None
        log_error(explain(error) or f"{unexplained(error)} (HYDRA_FULL_ERROR=1 shows the traceback)")
        raise SystemExit(1) from None


def _is_reported(error: BaseException) -> bool:
    """Return whether the run has reported an interrupt already, after which another signal has caused an error."""
    return any(isinstance(one, SystemExit) and one.code == INTERRUPTED for one in error_chain(error))


def _interrupted_line(command: Command | None, job: str) -> str:
    """Return the line about an interrupt outside of a job, such as one that a launcher has received."""
    plan = None if command is None else command.plan
    if plan is not None and plan.sweep is None:  # while Hydra prepares or ends the run
        directories = run_directories(plan.cfg)
        output = directories.get("paths.output", directories["hydra.run.dir"])
        if holds_run(output):
            return how_to_resume(output)
    if plan is None or not any(Path(planned.output).is_dir() for planned in plan.jobs):
        return "interrupted before the run started"
    return how_to_resume_sweep([planned.output for planned in plan.jobs], job)


def _restored_if_refused(plan: Plan) -> AbstractContextManager[None]:
    """Remove the files of a refused run. In a distributed run only the first rank does so."""
    if plan.sweep is not None or plan.is_further_rank:  # the jobs of a sweep record their errors
        return nullcontext()
    hydra = plan.cfg.hydra
    return restored_if_refused(run_directories(plan.cfg).values(), hydra.output_subdir, f"{hydra.job.name}.log")


@dataclass(frozen=True)
class Command:
    """Command line for Hydra.

    Attributes:
        arguments: its flags, then the overrides.
        plan: the directories of the run; None if it only prints something, or is of another configuration.
    """

    arguments: list[str]
    plan: Plan | None = None


def prepare(job: str, arguments: Sequence[str]) -> Command:
    """Return the command line for Hydra. Raises NasError for a mistake in it."""
    flags, unknown_flags = split_arguments(arguments)
    if unknown_flags:
        flag = unknown_flags[0]
        raise foreign_flag(job, flag, arguments) or NasError(
            f"unknown option {flag}. Overrides are key=value; --hydra-help lists the options."
        )
    given = list(flags.overrides)
    options = [argument for argument in arguments if argument not in given]
    given = [quote_texts(argument) for argument in given]
    if any((flags.help, flags.hydra_help, flags.shell_completion)):
        _adapt_help(job)
    if any((flags.help, flags.hydra_help)):
        return Command(options + given)
    check_flags(flags)
    if flags.multirun and value_of(given, "hydra.mode") == "RUN":
        raise NasError("hydra.mode=RUN: -m runs a sweep. Leave out one of the two.")
    if any((flags.info, flags.shell_completion)):
        return Command(options + given)
    check_mode(job, given)
    foreign = flags.config_path or flags.config_name  # another configuration altogether, which Hydra checks
    if not (foreign or flags.config_dir or value_of(given, "hydra.searchpath")):
        check_choices(given)
    sweeping = bool(flags.multirun) or value_of(given, "hydra.mode") == "MULTIRUN"
    prefer_own_launcher()
    path = search_path(flags.config_dir or flags.config_path, given)
    typed = [add_or_override(argument) for argument in given]
    given = [add_or_override(argument) for argument in complete(typed, job, sweeping, path)]
    provide_choices(given)
    if foreign:
        return Command(options + given)
    given, of_first_job = defer_to_jobs(job, given, flags) if sweeping else (given, given)
    cfg = compose_job(job, of_first_job, flags, sweeping, saved_lines(typed, given))
    if OmegaConf.select(cfg, "extras.tracebacks", default=False):
        os.environ["HYDRA_FULL_ERROR"] = "1"
    if flags.cfg:
        return Command(options + given)
    check_effect(typed, cfg, sweeping)
    given = replace_grid(given, cfg)
    plan = _plan(job, cfg, given, flags, sweeping)
    resumed = _arguments_of_restart(plan, arguments)
    if resumed is not None:
        return prepare(job, resumed)
    _check(job, plan, given, flags)
    return Command(options + given, plan)


def _adapt_help(job: str) -> None:
    """Adapt Hydra's help to the names, groups, modes and commands of a program."""
    replacements = {f"python {name}.py": program(name) for name in ("search", "train")}
    replacements["COMMAND_LIST"] = describe_commands(COMMANDS)
    adapt_help(replacements, hidden_groups=[*OTHER_GROUPS[job], *SETTINGS], shown={"mode": MODES[job]})


def _plan(job: str, cfg: DictConfig, given: list[str], flags: argparse.Namespace, sweeping: bool) -> Plan:
    """Return the directories of the command line. Raises NasError for a configuration that no run can have."""
    check_config(cfg)
    check_grid(cfg, sweeping)
    check_seeds(cfg, given, sweeping)
    check_processes(cfg, sweeping)
    check_executor(cfg)
    if sweeping:
        check_launcher(cfg)
    return make_plan(job, cfg, given, flags, sweeping)


def _arguments_of_restart(plan: Plan, arguments: Sequence[str]) -> list[str] | None:
    """Return the command line that resumes a run whose launcher has restarted it, None for any other run."""
    earlier = None if plan.sweep is not None else earlier_attempt(plan.cfg, run_directories(plan.cfg))
    if earlier is None:
        return None
    kept = [argument for argument in arguments if key_of(argument) not in ("hydra.run.dir", "ckpt_path")]
    return [*kept, f"ckpt_path={quote(str(earlier))}"]


def _check(job: str, plan: Plan, given: list[str], flags: argparse.Namespace) -> None:
    """Raise NasError if the output directory is taken, or a value does not fit the data set."""
    cfg = plan.cfg
    if not plan.is_further_rank:
        plan.check()
    if plan.sweep is not None:  # each job checks the rest itself
        return
    defer_imports()
    if cfg.mode == "search" and "evaluator" in cfg.method:
        # imported here, because it needs torch and other mistakes should be reported without waiting for that
        from nas.cli.jobs.benchmark_coverage import check_benchmark_coverage

        check_benchmark_coverage(cfg)
    check_dataset_values(given, cfg, lambda lines: compose_job(job, lines, flags))


def run_with_error_handling(cfg: DictConfig) -> float | None:
    """Run a job; a mistake of the user ends the process with one line and exit code 1.

    A job of a sweep that fails for whatever reason writes one line to the record of the sweep and its traceback to its
    own directory, and the remaining jobs run.
    """
    adopt_submitit_ranks()
    if is_further_rank(cfg):
        log_warnings_only()
        if DIRECTORY in os.environ:  # started by Lightning
            end_with_parent()
    make_paths_absolute(cfg)
    if HydraConfig.get().mode == RunMode.MULTIRUN:
        return run_sweep_job(cfg)
    try:
        with reserved_by_job(cfg):
            return run_job(cfg)
    except (Exception, KeyboardInterrupt, SystemExit) as error:
        if full_errors():
            raise
        if is_interrupt(error):  # also an error of a library that was interrupted
            _log_end(error, Path(cfg.paths.output))
            raise SystemExit(INTERRUPTED) from None
        if isinstance(error, SystemExit):
            raise
        report_failure(error, Path(cfg.paths.output))
        raise SystemExit(1) from None


def _log_end(stop: BaseException, output: Path) -> None:
    """Log the line about an interrupted run."""
    try:
        log_error(explain_end(stop, output))
    except NasError as error:  # the job of SLURM is not requeued
        log_error(str(error))
