"""Results of a study in the directory of a sweep: all trials, the best ones, and the picture of a Pareto front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from optuna.trial import FrozenTrial, TrialState

from nas.cli.run_dir.layout import PARETO_FILE, STUDY_RESULTS, STUDY_TRIALS
from nas.cli.study.options import StudyOptions
from nas.cli.study.shared_study import SharedStudy
from nas.cli.study.trial_state import DIRECTORY, FAILURE, PRUNED, name_of
from nas.utils.atomic_write import write_atomically
from nas.utils.csv_table import format_csv


def write_results(study: SharedStudy, options: StudyOptions, directory: Path) -> None:
    """Write the trials of all processes that share a study, the best ones, and a picture if it has several objectives.

    Args:
        study: the study.
        options: its options.
        directory: directory of the sweep.
    """
    trials = study.finished()
    _write_trials(trials, options, directory / STUDY_TRIALS)
    best = study.study.best_trials if any(trial.state == TrialState.COMPLETE for trial in trials) else []
    solutions = [_solution(trial, options) for trial in sorted(best, key=lambda trial: trial.number)]
    content: dict[str, Any] = {
        "name": "optuna",
        "objectives": dict(zip(options.objectives, options.directions, strict=True)),
        "storage": str(options.file),
        "trials": _counts(trials),
    }
    if len(options.objectives) == 1 and solutions:
        content |= {"best_value": solutions[0]["values"][0], "best_params": solutions[0]["params"]}
        content |= {key: solutions[0][key] for key in ("trial", "directory")}
    elif solutions:
        content["solutions"] = sorted(solutions, key=lambda solution: solution["values"])
    write_atomically(directory / STUDY_RESULTS, yaml.safe_dump(content, sort_keys=False))
    complete = [trial.values for trial in trials if trial.state == TrialState.COMPLETE]
    if len(options.objectives) > 1 and complete:
        # imported here, because the import of Matplotlib takes a second
        from nas.plotting.figure import save_figure
        from nas.plotting.pareto import pareto_figure

        front = [solution["values"] for solution in solutions]
        save_figure(pareto_figure(complete, front, options.objectives), directory / PARETO_FILE)


def _solution(trial: FrozenTrial, options: StudyOptions) -> dict[str, Any]:
    return {
        "values": [float(value) for value in trial.values],
        "params": dict(trial.params),
        "trial": trial.number,
        "directory": trial.user_attrs.get(DIRECTORY),
    }


def _counts(trials: Sequence[FrozenTrial]) -> dict[str, int]:
    """Return the number of trials by state, in the order of their first appearance."""
    counts: dict[str, int] = {}
    for trial in trials:
        counts[name_of(trial)] = counts.get(name_of(trial), 0) + 1
    return counts


def _write_trials(trials: Sequence[FrozenTrial], options: StudyOptions, file: Path) -> None:
    params = list(dict.fromkeys(name for trial in trials for name in trial.params))
    columns = ["trial", "state", *options.objectives, *params, "epochs", "seconds", DIRECTORY, FAILURE]
    write_atomically(file, format_csv(columns, [_row(trial, options) for trial in trials]))


def _row(trial: FrozenTrial, options: StudyOptions) -> Mapping[str, Any]:
    values = trial.values if trial.state == TrialState.COMPLETE else [""] * len(options.objectives)
    return {
        "trial": trial.number,
        "state": name_of(trial),
        **dict(zip(options.objectives, values, strict=True)),
        **trial.params,
        "epochs": trial.last_step if trial.last_step is not None else "",
        "seconds": "" if trial.duration is None else round(trial.duration.total_seconds(), 3),
        DIRECTORY: trial.user_attrs.get(DIRECTORY, ""),
        FAILURE: trial.user_attrs.get(PRUNED, trial.user_attrs.get(FAILURE, "")),
    }
