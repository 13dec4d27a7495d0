"""State of a trial beyond Optuna's: interrupted trials, which do not count, and their attributes."""

from __future__ import annotations

from optuna.trial import FrozenTrial, TrialState

SWEEP = "sweep"  # directory of the sweep that runs the trial
DIRECTORY = "directory"  # output directory of its job
FAILURE = "failure"  # one line
PRUNED = "pruned"  # epoch and value
INTERRUPTED = "interrupted"  # the process ended before the trial


def counts(trial: FrozenTrial) -> bool:
    """Return whether a trial counts for the number of trials of the study. An interrupted one does not."""
    return INTERRUPTED not in trial.user_attrs and trial.state != TrialState.WAITING


def name_of(trial: FrozenTrial) -> str:
    """Return the state of a trial in tables: complete, pruned, failed, interrupted or running."""
    if INTERRUPTED in trial.user_attrs:
        return INTERRUPTED
    return "failed" if trial.state == TrialState.FAIL else trial.state.name.lower()
