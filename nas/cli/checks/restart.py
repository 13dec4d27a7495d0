"""Runs that torchrun has restarted or SLURM has requeued: their directory and the checkpoint that they resume from."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from omegaconf import DictConfig

from nas.cli.checks.directory import Directories
from nas.cli.run_dir.launch import restart_count
from nas.cli.run_dir.layout import SUMMARY_FILE, holds_run, kept_files, last_checkpoint
from nas.cli.run_dir.ranks import is_distributed
from nas.cli.run_dir.requeue import job_id
from nas.utils.directory_lock import is_locked
from nas.utils.read_file import read_text
from nas.utils.user_path import real_path, user_path

START_FILE = ".slurm_start"
"""File of a run directory with the last start of the job of SLURM in which a command has used the directory."""


def name_of_attempt(name: str, output_of: Callable[[str], Path]) -> str:
    """Return the name of the directory of a restarted launch.

    It is that of an earlier attempt from which a run can be resumed. Without such an attempt it is a name that no
    attempt has used, ``NAME-restartN``, because files of another attempt are not overwritten.

    Args:
        name: name of the launch.
        output_of: directory of the results for a name.
    """
    names = _names_of_attempts(name)
    kept = [found for found in names if kept_files(output_of(found)) is not None]
    unused = [found for found in names if not holds_run(output_of(found))]
    return [*kept[-1:], *unused, name][0]


def _names_of_attempts(name: str) -> list[str]:
    return [name, *(f"{name}-restart{number}" for number in range(1, restart_count() + 1))]


def name_of_command(name: str, directories_of: Callable[[str], Iterable[Path]]) -> str:
    """Return the name of the directory of a command with one process in a job of SLURM.

    A job script may contain a command several times. The second one since the start of the job has ``NAME.2``, the
    third one ``NAME.3``. A requeued job starts all of them again, and each finds its own directory again.

    Args:
        name: name of the command.
        directories_of: directories of the run for a name.
    """
    for number in itertools.count(1):
        candidate = name if number == 1 else f"{name}.{number}"
        if not any(_is_used(path) for one in _names_of_attempts(candidate) for path in directories_of(one)):
            return candidate
    raise AssertionError("count() does not end")


def _is_used(directory: Path) -> bool:
    """Return whether a command has used a directory since the last start of the job."""
    if is_locked(directory) or (restart_count() == 0 and holds_run(directory)):
        return True
    with suppress(OSError, ValueError):
        return read_text(directory / START_FILE) == _start_of_job()
    return False


def mark_start(cfg: DictConfig, directory: Path) -> None:
    """Record in a run directory that a command with one process has used it since the last start of its job."""
    if job_id() is not None and not is_distributed(cfg):
        directory.mkdir(parents=True, exist_ok=True)
        (directory / START_FILE).write_text(_start_of_job())


def _start_of_job() -> str:
    return f"job {job_id()} restart {restart_count()}\n"


def earlier_attempt(cfg: DictConfig, directories: Directories) -> Path | None:
    """Return the directory of the run to resume, None if this is no restart or nothing can be resumed.

    A run with ``seeds`` resumes its searches itself.

    Raises:
        SystemExit: with code 0 if the earlier attempt has finished.
    """
    modes = ("search", "train", "rank_proxies")
    if restart_count() == 0 or cfg.get("ckpt_path") is not None or cfg.mode not in modes:
        return None
    run = next(iter(directories.values()))
    output = directories.get("paths.output", run)
    if (output / SUMMARY_FILE).is_file():
        mark_start(cfg, run)
        print(f"finished       {output} holds the results of an earlier attempt", flush=True)
        raise SystemExit(0)
    return None if kept_files(output) is None else run


def without_resumed_seeds(directories: Directories, ckpt_path: str | None) -> Directories:
    """Leave out the directories of the searches of ``seeds`` that this process resumes in place."""
    in_place = ckpt_path is not None and real_path(user_path(ckpt_path)) in map(real_path, directories.values())
    if restart_count() == 0 and not in_place:
        return directories
    return {option: path for option, path in directories.items() if not option.startswith("seeds.")}


def resume_job(cfg: DictConfig, output: Path) -> None:
    """Set ``ckpt_path`` of a job of a sweep that has left a checkpoint, if this is a restart."""
    restarted = restart_count() > 0 and cfg.get("ckpt_path") is None and cfg.mode in ("search", "train")
    if restarted and last_checkpoint(output) is not None and not (output / SUMMARY_FILE).is_file():
        cfg.ckpt_path = str(output)
