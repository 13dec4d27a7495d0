"""Runs that torchrun has restarted or SLURM has requeued: their directory and the checkpoint that they resume from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from omegaconf import DictConfig

from nas.cli.checks.directory import Directories
from nas.cli.run_dir.launch import restart_count
from nas.cli.run_dir.layout import SUMMARY_FILE, holds_run, kept_files, last_checkpoint


def name_of_attempt(name: str, output_of: Callable[[str], Path]) -> str:
    """Return the name of the directory of a restarted launch.

    It is that of an earlier attempt from which a run can be resumed. Without such an attempt it is a name that no
    attempt has used, ``NAME-restartN``, because files of another attempt are not overwritten.

    Args:
        name: name of the launch.
        output_of: directory of the results for a name.
    """
    names = [name, *(f"{name}-restart{number}" for number in range(1, restart_count() + 1))]
    kept = [found for found in names if kept_files(output_of(found)) is not None]
    unused = [found for found in names if not holds_run(output_of(found))]
    return [*kept[-1:], *unused, name][0]


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
        print(f"finished       {output} holds the results of an earlier attempt", flush=True)
        raise SystemExit(0)
    return None if kept_files(output) is None else run


def without_restarted_seeds(directories: Directories) -> Directories:
    """Leave out the directories of the searches of ``seeds`` if this is a restart, which resumes them."""
    if restart_count() == 0:
        return directories
    return {option: path for option, path in directories.items() if not option.startswith("seeds.")}


def resume_job(cfg: DictConfig, output: Path) -> None:
    """Set ``ckpt_path`` of a job of a sweep, or of a search of ``seeds``, that has left a checkpoint."""
    restarted = restart_count() > 0 and cfg.get("ckpt_path") is None and cfg.mode in ("search", "train")
    if restarted and last_checkpoint(output) is not None and not (output / SUMMARY_FILE).is_file():
        cfg.ckpt_path = str(output)
