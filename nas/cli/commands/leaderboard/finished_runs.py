"""Finished runs in the directories that a command names: runs, sweeps, runs with several seeds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from nas.cli.overrides.renamed import has_old_names
from nas.cli.run_dir.read_yaml import read_yaml, record_of
from nas.utils.errors import NasError, one_line
from nas.utils.read_file import read_json
from nas.utils.user_path import real_path, user_path

SUMMARY = "summary.json"
RECORD = (".hydra", "config.yaml")


@dataclass(frozen=True)
class RunRecord:
    """Recorded content of a finished run.

    Attributes:
        directory: its directory.
        summary: content of summary.json.
        config: its configuration as plain values, empty without a comparable record.
        protocol: the protocol that a training was started with.
        modified: modification time of summary.json in seconds.
    """

    directory: Path
    summary: dict[str, Any]
    config: dict[str, Any]
    protocol: str | None = None
    modified: float = 0.0

    @classmethod
    def read(cls, directory: Path) -> Self:
        """Read the files of a run.

        Raises:
            NasError: if the run is not finished, or a file is damaged or cannot be read.
        """
        try:
            summary, config, protocol = _read_summary(directory), _read_config(directory), _read_protocol(directory)
            return cls(directory, summary, config, protocol, (directory / SUMMARY).stat().st_mtime)
        except OSError as error:  # such as a directory of another user
            raise NasError(f"{directory} cannot be read: {one_line(error)[:200]}") from None


def find_finished_runs(paths: Sequence[str]) -> list[Path]:
    """Return the run directories that ``paths`` name, without repetitions. A directory of runs stands for all of them.

    Raises:
        NasError: if a path is no directory, or contains no run.
    """
    directories: dict[Path, Path] = {}
    for given in paths:
        path = user_path(given)
        if path.name == SUMMARY:
            path = path.parent
        try:
            if not path.is_dir():
                problem = "is a file" if path.is_file() else "there is no such directory"
                raise NasError(f"leaderboard {given}: {problem}. Give directories of runs or sweeps.")
            runs = list(_runs_below(path))
        except OSError:  # such as a directory of another user, which is left out later
            runs = [path]
        if not runs:
            raise NasError(f"leaderboard {given}: contains no run. Give directories of runs or sweeps.")
        directories |= {real_path(run): run for run in runs}
    return list(directories.values())


def _runs_below(path: Path) -> Iterator[Path]:
    """Yield ``path`` itself if it is a run with results, else all runs below it in alphabetical order."""
    if (path / SUMMARY).is_file():
        yield path
        return
    below = sorted({file.parent for file in path.rglob(SUMMARY)} | {file.parent for file in path.rglob(RECORD[0])})
    runs = [run for run in below if run != path and not _holds_seeds(run)]
    yield from runs or ([path] if (path / RECORD[0]).is_dir() else [])


def _holds_seeds(path: Path) -> bool:
    try:
        return not (path / SUMMARY).is_file() and any((seed / RECORD[0]).is_dir() for seed in path.glob("seed_*"))
    except OSError:  # such as a directory of another user, which is left out later
        return False


def _read_summary(directory: Path) -> dict[str, Any]:
    """Return the content of the summary of a run.

    Raises:
        NasError: if the run is not finished, or its summary is damaged.
    """
    path = directory / SUMMARY
    if not path.is_file():
        raise NasError(f"{directory}: no {SUMMARY}, so the run has not finished")
    try:
        content = read_json(path)
    except (OSError, ValueError) as error:
        raise NasError(f"{path} is damaged: {one_line(error)[:200]}") from None
    if not isinstance(content, dict) or not isinstance(content.get("mode"), str):
        raise NasError(f"{path} is damaged: it is not the summary of a run")
    return content


def _read_config(directory: Path) -> dict[str, Any]:
    """Return the recorded configuration of a run as plain values, empty without a comparable record.

    Raises:
        NasError: if the record is damaged.
    """
    path = directory.joinpath(*RECORD)
    if not path.is_file():
        return {}
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise NasError(f"{path} is damaged: it is not a configuration")
    # options of version 0.1.0 cannot be compared with the present ones
    return {} if has_old_names(record_of(content, path)) else content


def _read_protocol(directory: Path) -> str | None:
    """Return the protocol that a training was started with, None if there is none."""
    path = directory / ".hydra" / "overrides.yaml"
    content = read_yaml(path) if path.is_file() else []
    lines = content if isinstance(content, list) else []
    return next((str(line).partition("=")[2] for line in lines if str(line).startswith("protocol=")), None)
