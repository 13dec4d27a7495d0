"""Run directories below the paths that a command line names."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from nas.cli.run_dir.layout import FAILURE_FILE, SWEEP_FILE, holds_run, is_empty, seed_directories
from nas.utils.errors import NasError, one_line
from nas.utils.user_path import real_path, user_path

MAX_DEPTH = 4  # levels of directories between a given directory and a run
SWEEP_FILES = (SWEEP_FILE, "multirun.yaml")


def find_runs(paths: Sequence[str]) -> list[Path]:
    """Return the run directories of paths in order, each once.

    A sweep stands for its jobs, and a run with ``seeds`` for its searches. A job directory without files counts as a
    run, and so does an empty directory, or one of several paths that cannot be read.

    Raises:
        NasError: a path is no directory, has files but neither is nor contains a run, or is the only one and cannot be
            read.
    """
    directories: dict[Path, Path] = {}
    for text in paths:
        path = user_path(text)
        try:
            runs = _runs_of(path)
        except OSError as error:
            if len(paths) == 1:
                raise NasError(f"report {path}: cannot be read ({one_line(error)}). Give another directory.") from None
            runs = [path]
        for run in runs:
            directories.setdefault(real_path(run), run)
    return list(directories.values())


def _runs_of(path: Path) -> list[Path]:
    if not path.is_dir():
        problem = "is a file" if path.exists() else "does not exist"
        raise NasError(f"report {path}: {problem}. Give a run directory, or the directory of a sweep.")
    runs = list(_walk(path, MAX_DEPTH))
    if not runs and not is_empty(path) and not _is_run(path):  # both raise OSError if the files cannot be read
        raise NasError(
            f"report {path}: is not a run directory and contains none. Name one, such as outputs/search/DATE/TIME."
        )
    return runs or [path]


def _walk(directory: Path, depth: int) -> Iterator[Path]:
    """Yield the runs in a directory; links are not followed, and directories that cannot be read have no runs."""
    try:
        seeds = seed_directories(directory)
        is_run = not seeds and _is_run(directory)
        is_sweep = any((directory / name).is_file() for name in SWEEP_FILES)
    except OSError:  # such as a directory of another user
        return
    if seeds:
        yield from seeds
    elif is_run:
        yield directory
    elif depth:
        for child in _children(directory):
            below = list(_walk(child, depth - 1))
            yield from below or ([child] if is_sweep and child.name.isdecimal() else [])


def _is_run(directory: Path) -> bool:
    recorded = (directory / ".hydra").is_dir() or (directory / FAILURE_FILE).is_file()
    is_sweep = any((directory / name).is_file() for name in SWEEP_FILES)
    return recorded or (holds_run(directory) and not is_sweep)


def _children(directory: Path) -> list[Path]:
    """Return the folders in a directory, numbers in their order."""
    try:
        folders = [Path(entry.path) for entry in os.scandir(directory) if entry.is_dir(follow_symlinks=False)]
    except OSError:  # such as a folder of another user
        return []
    visible = [folder for folder in folders if not folder.name.startswith(".")]
    return sorted(visible, key=lambda path: (int(path.name) if path.name.isdecimal() else -1, path.name))
