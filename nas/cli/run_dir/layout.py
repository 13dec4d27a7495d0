"""Layout of a run directory: names of its files, and which kinds of runs have left them."""

from __future__ import annotations

import csv
from pathlib import Path

from nas.utils.errors import NasError
from nas.utils.read_file import read_bytes, read_text
from nas.utils.user_path import real_path, user_path

FAILURE_FILE = "failure.txt"  # the error of a job of a sweep
SUMMARY_FILE = "summary.json"
RANKING = "scores.jsonl"  # the log of a ranking, from which it is resumed without a checkpoint
METRICS_FILE = "metrics.csv"  # the rows of steps and epochs
SPLIT_RECORD = "split.json"  # whether dataset.split=nas_bench_201 used its official list
REPETITIONS = "repetitions.jsonl"  # one line for each finished search, which is not repeated on resume
WANDB_RECORD = "wandb.json"  # id, name, group, project, entity and mode of the W&B run
SEARCHED = (SUMMARY_FILE, "genotype.json", "history.jsonl", REPETITIONS, RANKING)
TABLES = (METRICS_FILE, "classes.csv", "confusion.csv", "scores.parquet", "report.json", "queries.jsonl")
RESULTS = (*SEARCHED, *TABLES, "model.pt", "model.onnx", "model.pt2", "logits.pt", "confusion.png")
FIRST_EPOCH = (METRICS_FILE, "genotype.json", "history.jsonl", "alphas.jsonl", "queries.jsonl", "accuracy_range.csv")
"""Results and logs that a run writes in an epoch before its checkpoint; a repeated first epoch writes them again."""
REPORT_FILE = "report.html"  # the page of a run
SWEEP_FILE = "sweep.csv"  # the table of a sweep, in the directory that holds its jobs
MULTIRUN_FILE = "multirun.yaml"  # Hydra's record of a sweep
STUDY_RESULTS = "optimization_results.yaml"  # the best trials of a sweep by Optuna
STUDY_TRIALS = "trials.csv"  # all trials of its study
PARETO_FILE = "pareto.png"  # the picture of its objectives


def seed_directory(directory: Path, seed: int) -> Path:
    """Return the directory of one of the searches of a run with ``seeds``."""
    return directory / f"seed_{seed}"


def seed_directories(directory: Path) -> list[Path]:
    """Return the directories of the searches of a run with ``seeds``, in the order of the seeds; empty for others."""
    directories = [
        path for path in directory.glob("seed_*") if path.name[5:].isdecimal() and (path / ".hydra").is_dir()
    ]
    return sorted(directories, key=lambda path: int(path.name[5:]))


def is_finished(directory: Path, results: Path | None = None) -> bool:
    """Return whether a run has ended with its results; a run with ``seeds`` has if all of its searches have.

    Args:
        directory: directory of the run.
        results: directory of its results (``paths.output``), None for the same one.
    """
    results = results or directory
    runs = seed_directories(results) if (directory / ".hydra").is_dir() else []
    return all((path / SUMMARY_FILE).exists() for path in runs or [results])


def holds_run(directory: Path) -> bool:
    """Return whether a run has left files that another one would overwrite."""
    return any((directory / name).exists() for name in RESULTS) or any((directory / "checkpoints").glob("*.ckpt"))


def left_first_epoch(directory: Path) -> bool:
    """Return whether a run was stopped before the checkpoint of its first epoch: it has left files of that epoch."""
    left = [name for name in RESULTS if (directory / name).exists()]
    recorded = (directory / ".hydra" / "overrides.yaml").is_file()
    if not left or not recorded or any((directory / "checkpoints").glob("*.ckpt")):
        return False
    if left == ["genotype.json"]:  # may be all that is kept of a finished run
        return False
    return set(left) <= set(FIRST_EPOCH) and _has_one_epoch(directory)


def _has_one_epoch(directory: Path) -> bool:
    """Return whether no log of a run has a second epoch; a longer run without checkpoints is kept."""
    history, metrics = directory / "history.jsonl", directory / METRICS_FILE
    try:
        rows = read_text(metrics).splitlines() if metrics.exists() else []
        epochs = [float(row["epoch"]) for row in csv.DictReader(rows) if row.get("epoch")]
        one = not history.exists() or read_bytes(history).count(b"\n") <= 1
    except (OSError, ValueError, csv.Error):  # such as a file of another program
        return False
    return one and all(epoch < 1 for epoch in epochs)


def another_directory(directory: Path) -> str:
    """Return " in another directory" for advice to start a run again if it would overwrite files, else nothing."""
    return " in another directory" if holds_run(directory) and not left_first_epoch(directory) else ""


def has_failed(directory: Path) -> bool:
    """Return whether a run has left an error that is not older than its results."""
    failure, summary = directory / FAILURE_FILE, directory / SUMMARY_FILE
    if not failure.is_file():
        return False
    return not summary.is_file() or failure.stat().st_mtime >= summary.stat().st_mtime


def remove_failure(directory: Path) -> None:
    """Remove the error of an earlier attempt of a run."""
    (directory / FAILURE_FILE).unlink(missing_ok=True)


def is_empty(directory: Path) -> bool:
    """Return whether a directory has no files, other than a report of it."""
    return all(path.name == REPORT_FILE for path in directory.iterdir())


def last_checkpoint(directory: Path) -> Path | None:
    """Return the checkpoint of the last complete epoch of a run, None if it has none."""
    path = directory / "checkpoints" / "last.ckpt"
    return path if path.is_file() else None


def holds_ranking(directory: Path) -> bool:
    """Return whether a ranking of proxies has started in a directory."""
    return (directory / RANKING).is_file()


def holds_repetitions(directory: Path) -> bool:
    """Return whether a run of repeated searches has started in a directory."""
    return (directory / REPETITIONS).is_file()


def run_directory(path: Path) -> Path | None:
    """Return the run directory ``path``, or that of a checkpoint ``path``; None for any other file."""
    if path.is_dir():
        return path
    if not path.exists():
        raise NasError(f"ckpt_path: there is no {path}. Give a run directory or a checkpoint file.")
    parent = path.parent.parent
    return parent if (parent / ".hydra").is_dir() else None


def checkpoint_file(given: str | None, output: str | None = None) -> Path | None:
    """Return the checkpoint file that ``ckpt_path`` names, None if it is not set.

    Args:
        given: a run directory, or a checkpoint.
        output: ``paths.output``, for the directory of a run that has its checkpoints there.
    """
    if given is None:
        return None
    path = user_path(given)
    if path.is_dir():
        places = (path, *([] if output is None else [user_path(output)]))
        path = next(filter(None, map(last_checkpoint, places)), path / "checkpoints" / "last.ckpt")
    if not path.is_file() and holds_repetitions(user_path(given)):
        raise NasError(
            f"ckpt_path={given}: it holds {REPETITIONS} of repeated searches and no checkpoint. Resume it with the "
            "same method.repetitions, or more."
        )
    if not path.is_file():
        raise NasError(
            f"ckpt_path={given}: there is no {path}; the run was stopped before its first epoch ended. "
            f"{how_to_restart(user_path(given))}"
        )
    return path


def how_to_restart(directory: Path) -> str:
    """Return the sentence on how to start a run without a checkpoint again, from its directory or a file in it."""
    run = directory if directory.is_dir() or directory.suffix != ".ckpt" else directory.parent.parent
    option, place = "hydra.run.dir", run
    if (run.parent / MULTIRUN_FILE).is_file():
        option, place = "hydra.sweep.dir", run.parent
    if another_directory(run):
        return "Start from scratch in another directory."
    return f"Start from scratch: run the same command again with {option}={place}, or in another directory."


def checkpoints_of_seeds(run: Path, output: str | None) -> dict[int, Path]:
    """Return the last checkpoints of the searches of a run with ``seeds`` by seed.

    Args:
        run: directory of the run.
        output: ``paths.output``, for a run that has its results there.
    """
    places = (*([] if output is None else [user_path(output)]), run)
    found = {int(path.name[5:]): last_checkpoint(path) for place in places for path in seed_directories(place)}
    return {seed: path for seed, path in found.items() if path is not None}


def refuse_special_files(directory: Path) -> None:
    """Raise NasError if a resumed run would write through a link out of its directory, or into a pipe or a device."""
    home = real_path(directory)
    runs = (directory, *seed_directories(directory))
    for folder in (run / name for run in runs for name in ("", "checkpoints", ".hydra")):
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            inside = _resolved(path).is_relative_to(home)
            if not inside or not (path.is_file() or path.is_dir()):
                kind = "is no regular file" if inside else "is a link out of the run directory"
                raise NasError(
                    f"{path} {kind}, and a resumed run may write to it. Remove it, or set hydra.run.dir=NEW."
                )


def _resolved(path: Path) -> Path:
    try:
        return real_path(path)
    except (OSError, RuntimeError):  # a loop of links
        return Path("/")


def kept_files(output: Path) -> str | None:
    """Return the subject of a sentence about the results in ``output`` from which a run is resumed, None if none."""
    if holds_ranking(output):
        return "all values so far are"
    if holds_repetitions(output):
        return "all finished repetitions are"
    return None if last_checkpoint(output) is None else "the last complete epoch is"
