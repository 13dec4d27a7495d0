"""Study in a journal file that several processes share and resume."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, check_distribution_compatibility
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from nas.cli.study.options import StudyOptions
from nas.cli.study.trial_state import DIRECTORY, FAILURE, INTERRUPTED, SWEEP, counts
from nas.utils.directory_lock import is_locked
from nas.utils.errors import NasError, one_line
from nas.utils.file_lock import try_lock

OBJECTIVES, FIXED = "objectives", "overrides"
NEW = timedelta(minutes=1)
"""Age up to which a trial without the directory of its sweep has only just been created."""


def open_storage(file: Path) -> JournalStorage:
    """Open a journal, which is created if absent. Raises NasError if it cannot be read or written."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        return JournalStorage(JournalFileBackend(str(file)))
    except OSError as error:
        raise NasError(f"hydra.sweeper.storage={file}: {error.strerror}. Choose another file.") from None
    except (ValueError, KeyError, TypeError) as error:
        raise NasError(
            f"hydra.sweeper.storage={file}: it is no journal of Optuna, or damaged ({one_line(error)[:100]}). Choose "
            "another file."
        ) from None


class SharedStudy:
    """Study whose trials are counted over all processes.

    Args:
        options: options of the study.
        distributions: distributions by parameter.
        sampler: sampler of new trials.
        pruner: pruner, on which samplers may depend.
        fixed: overrides of all trials.
        sweep: directory of the sweep, which this process locks. Its running trials are of an earlier process.

    Raises:
        NasError: if the journal is damaged, or holds a study of other objectives or another search space.
    """

    def __init__(
        self,
        options: StudyOptions,
        distributions: Mapping[str, BaseDistribution],
        sampler: BaseSampler,
        pruner: BasePruner,
        fixed: Sequence[str] = (),
        sweep: Path | None = None,
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.file = options.file
        self.trials = options.trials
        self._locks = options.locks
        self._distributions = dict(distributions)
        self._storage = open_storage(options.file)
        with self._exclusive():
            self.study = optuna.create_study(
                storage=self._storage,
                sampler=sampler,
                pruner=pruner,
                study_name=options.name,
                directions=[StudyDirection[side.upper()] for side in options.directions],
                load_if_exists=True,
            )
            self._check(options)
            self.changed = self._changed_overrides(fixed)
            self.study.set_user_attr(OBJECTIVES, list(options.objectives))
            self.study.set_user_attr(FIXED, list(fixed))
            if self._locks and sweep is not None:
                self._interrupt_trials_of(sweep)

    def ask(self, sweep: Path) -> Trial | None:
        """Start a trial of the process that locks the directory ``sweep``; None if the study is complete.

        Running trials of processes that no longer exist are marked as interrupted first, so that they do not count.
        """
        with self._exclusive():
            self.mark_interrupted()
            if sum(map(counts, self.study.get_trials(deepcopy=False))) >= self.trials:
                return None
            trial = self.study.ask(self._distributions)
            trial.set_user_attr(SWEEP, str(sweep))
            return trial

    def tell(
        self,
        number: int,
        state: TrialState,
        values: Sequence[float] | None = None,
        attributes: Mapping[str, str | bool] | None = None,
    ) -> None:
        """Finish a trial, unless another process has done so.

        Args:
            number: number of the trial.
            state: its final state.
            values: values of the objectives of a complete trial.
            attributes: user attributes, such as ``failure``.
        """
        trial = self._id_of(number)
        if self._storage.get_trial(trial).state.is_finished():
            return
        for name, value in (attributes or {}).items():
            self._storage.set_trial_user_attr(trial, name, value)
        with suppress(optuna.exceptions.UpdateFinishedTrialError):
            self.study.tell(number, values, state=state)

    def interrupt(self, number: int, failure: str) -> None:
        """Finish a trial that does not count, because its process was stopped."""
        self.tell(number, TrialState.FAIL, attributes={INTERRUPTED: True, FAILURE: failure})

    def mark_interrupted(self) -> None:
        """Finish the running trials whose process has ended: it no longer locks the directory of its sweep."""
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            sweep = trial.user_attrs.get(SWEEP)
            if sweep is None and trial.datetime_start and datetime.now() - trial.datetime_start < NEW:
                continue
            if sweep is None or (self._locks and not is_locked(Path(sweep))):
                self.interrupt(trial.number, "its process ended")

    def _interrupt_trials_of(self, sweep: Path) -> None:
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if trial.user_attrs.get(SWEEP) == str(sweep):
                self.interrupt(trial.number, "its process ended")

    def finished(self) -> list[FrozenTrial]:
        """Return the trials in the order of their numbers, without waiting ones."""
        trials = self.study.get_trials(deepcopy=False)
        return [trial for trial in trials if trial.state != TrialState.WAITING]

    def set_directory(self, number: int, directory: str) -> None:
        """Record the output directory of the job of a running trial."""
        trial = self._id_of(number)
        if not self._storage.get_trial(trial).state.is_finished():
            self._storage.set_trial_user_attr(trial, DIRECTORY, directory)

    def _id_of(self, number: int) -> int:
        study = self._storage.get_study_id_from_name(self.study.study_name)
        return int(self._storage.get_trial_id_from_study_id_trial_number(study, number))

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Exclude other processes, so that two of them neither start the last trial nor the same one of a grid."""
        descriptor = os.open(self.file, os.O_RDWR | os.O_CLOEXEC)  # NFS locks only what may be written
        try:
            self._lock(descriptor)
            yield
        finally:
            os.close(descriptor)

    def _lock(self, descriptor: int) -> None:
        """Wait for the lock of the journal. Raises NasError if its file system has none, unless none is required."""
        try:
            while not try_lock(descriptor):
                time.sleep(0.02)
        except OSError as error:
            if self._locks:
                raise NasError(
                    f"hydra.sweeper.storage={self.file}: its file system has no locks ({error.strerror}), so that two "
                    "processes could start the same trial. Choose another file, or set extras.require_lock=false."
                ) from None

    def _check(self, options: StudyOptions) -> None:
        directions = tuple(direction.name.lower() for direction in self.study.directions)
        names = tuple(self.study.user_attrs.get(OBJECTIVES, options.objectives))
        if directions != options.directions or names != options.objectives:
            of = " and ".join(f"{side} {name}" for side, name in zip(directions, names, strict=True))
            raise NasError(
                f"hydra.sweeper.storage={self.file}: its study is to {of}. Choose another file, or another "
                "hydra.sweeper.study_name."
            )
        for trial in self.study.get_trials(deepcopy=False):
            for name, distribution in trial.distributions.items():
                self._check_parameter(name, distribution)

    def _check_parameter(self, name: str, earlier: Any) -> None:
        try:
            check_distribution_compatibility(earlier, self._distributions[name])
        except (KeyError, ValueError):
            raise NasError(
                f"hydra.sweeper.storage={self.file}: its study has other values for {name}. Choose another file, or "
                "another hydra.sweeper.study_name."
            ) from None

    def _changed_overrides(self, fixed: Sequence[str]) -> list[str]:
        """Return the overrides in which this command differs from the last one of the study."""
        earlier = self.study.user_attrs.get(FIXED)
        return [] if earlier is None else sorted(set(earlier) ^ set(fixed))
