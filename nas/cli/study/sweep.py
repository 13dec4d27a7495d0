"""Sweep whose jobs are the trials of an Optuna study: ask for a batch, launch it, tell its results."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hydra.core.utils import configure_log
from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from optuna.trial import Trial, TrialState

from nas.cli.errors import explain, log_error
from nas.cli.overrides.hydra_internals import read_sweep
from nas.cli.run_dir.job_record import JobRecord, read_records
from nas.cli.run_dir.sweep_table import job_row
from nas.cli.study.options import RESULT, StudyOptions, read_options
from nas.cli.study.results import write_results
from nas.cli.study.samplers import UnusedCombinations, build_sampler
from nas.cli.study.search_space import SearchSpace
from nas.cli.study.shared_study import SharedStudy
from nas.cli.study.trial import trial_overrides
from nas.cli.study.trial_state import FAILURE, PRUNED
from nas.utils.errors import NasError, one_line

log = logging.getLogger(__name__)
FIRST_FAILURES = 8
"""Number of trials after which a sweep ends if all of them have failed."""


def sweep_study(arguments: Sequence[str], config: DictConfig, context: HydraContext, launcher: Launcher) -> None:
    """Run the trials of a study until it is complete.

    Args:
        arguments: overrides of the jobs.
        config: configuration of the command line with Hydra's part.
        context: Hydra's context.
        launcher: launcher of the jobs.

    Raises:
        NasError: for an invalid study, or if the first ``FIRST_FAILURES`` trials have failed.
    """
    options = read_options(config)
    grid = [f"{key}={values}" for key, values in (config.hydra.sweeper.params or {}).items()]
    space = SearchSpace(*read_sweep([*grid, *arguments]))
    sampler, pruner = build_sampler(options, space), instantiate(dict(options.pruner))
    directory = Path(config.hydra.sweep.dir).absolute()
    study = SharedStudy(options, space.distributions(), sampler, pruner, space.fixed, directory)
    if isinstance(sampler, UnusedCombinations):
        study.trials = min(study.trials, len(sampler.combinations))
    directory.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(config, directory / "multirun.yaml")
    configure_log(config.hydra.hydra_logging, config.hydra.verbose)
    if study.changed:
        log.warning("study          other options than in earlier trials: %s", " ".join(study.changed))

    def check(overrides: Sequence[str]) -> None:
        context.config_loader.load_sweep_config(config, list(overrides))

    sweep = StudySweep(study, options, space, Jobs(launcher, check, directory))
    try:
        sweep.run()
    finally:
        sweep.close()
        write_results(study, options, directory)


@dataclass(frozen=True)
class Jobs:
    """Start of the jobs of a sweep.

    Attributes:
        launcher: launcher of the jobs.
        check: function that raises an error of Hydra for overrides that do not compose.
        directory: directory of the sweep.
    """

    launcher: Launcher
    check: Callable[[Sequence[str]], None]
    directory: Path


class StudySweep:
    """Trials of one process.

    Args:
        study: study, which other processes may share.
        options: options of the study.
        space: search space.
        jobs: start of the jobs.
    """

    def __init__(self, study: SharedStudy, options: StudyOptions, space: SearchSpace, jobs: Jobs) -> None:
        self._study, self._options, self._space, self._jobs = study, options, space, jobs
        self._running: dict[int, int] = {}  # numbers of the trials by number of their jobs
        self._told = self._failed = 0

    def run(self) -> None:
        """Ask, launch and tell until the study is complete."""
        number = 0
        while True:
            trials = self._ask()
            if not trials:
                return
            self._launch(trials, number)
            number += len(trials)

    def close(self) -> None:
        """Finish the trials whose jobs have ended, and interrupt the remaining ones."""
        records = self._records()
        while self._running:
            job, trial = self._running.popitem()
            if job in records and records[job].ended and records[job].failure != "interrupted":
                with suppress(NasError):  # the sweep ends with an error already
                    self._tell(job, trial, records[job])
            else:
                self._study.interrupt(trial, "interrupted")

    def _ask(self) -> list[tuple[Trial, list[str]]]:
        """Return up to ``n_jobs`` trials with the overrides of their jobs; those that do not compose fail."""
        asked: list[tuple[Trial, list[str]]] = []
        while len(asked) < self._options.jobs:
            trial = self._study.ask(self._jobs.directory)
            if trial is None:
                break
            lines = self._space.overrides(trial.params)
            try:
                self._jobs.check(lines)
            except (HydraException, OmegaConfBaseException) as error:
                self._fail(trial.number, explain(error) or one_line(error))
                continue
            asked.append((trial, lines))
        return asked

    def _launch(self, trials: Sequence[tuple[Trial, Sequence[str]]], first: int) -> None:
        """Run a batch of trials. An error of the launcher, such as a killed worker, fails trials that have started."""
        self._running = {first + position: trial.number for position, (trial, _) in enumerate(trials)}
        batch = [[*lines, *trial_overrides(self._options.file, trial.number)] for trial, lines in trials]
        try:
            self._jobs.launcher.launch(batch, initial_job_idx=first)
        except Exception as error:
            if not self._running.keys() & self._records().keys():  # no job has started: a mistake in the options
                raise
            log_error(explain(error) or one_line(error))
        records = self._records()
        for job in list(self._running):
            self._tell(job, self._running.pop(job), records.get(job))

    def _tell(self, job: int, trial: int, record: JobRecord | None) -> None:
        """Finish a trial by the record of its job."""
        if record is None or not record.ended:
            self._fail(trial, f"job {job} did not end")
            return
        self._study.set_directory(trial, record.directory)
        if record.failure is not None:
            self._fail(trial, record.failure)
            return
        self._told += 1
        if record.pruned is not None:
            self._study.tell(trial, TrialState.PRUNED, attributes={PRUNED: record.pruned})
            return
        values = self._values(record, trial)
        wrong = [name for name, value in values.items() if not math.isfinite(value)]
        if wrong:
            self._fail(trial, f"{wrong[0]} is not a finite number")
            return
        self._study.tell(trial, TrialState.COMPLETE, list(values.values()))
        log.info("trial %d       %s", trial, "  ".join(f"{name} {value:.6g}" for name, value in values.items()))

    def _values(self, record: JobRecord, trial: int) -> dict[str, float]:
        """Return the objectives of a job, NaN for an empty one. Raises NasError for an unknown one."""
        if self._options.objectives == (RESULT,):
            return {RESULT: math.nan if record.value is None else record.value}
        row = job_row(Path(record.directory))
        values = {name: row.get(name) for name in self._options.objectives}
        missing = next((name for name in values if name not in row), None)
        if missing is not None:
            self._fail(trial, f"no {missing}")
            names = ", ".join(sorted(name for name, value in row.items() if _is_number(value)))
            raise NasError(f"hydra.sweeper.objective={missing}: summary.json does not contain it. Use one of {names}.")
        return {name: _to_float(value) for name, value in values.items()}

    def _fail(self, trial: int, failure: str) -> None:
        """Finish a failed trial. Raises NasError if the first trials of the process have all failed."""
        self._study.tell(trial, TrialState.FAIL, attributes={FAILURE: failure})
        self._failed += 1
        self._told += 1
        if self._failed == self._told == FIRST_FAILURES:
            raise NasError(f"hydra/sweeper=optuna: the first {FIRST_FAILURES} trials failed ({failure}). Correct it.")

    def _records(self) -> Mapping[int, JobRecord]:
        return {record.number: record for record in read_records(self._jobs.directory)}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _to_float(value: object) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
