"""Directories of a run: checks that they belong to no other run and can be written."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from nas.cli.checks.outputs import other_outputs
from nas.cli.overrides.parse import value_of
from nas.cli.overrides.run_record import FOLDER, overrides_file, saved_overrides
from nas.cli.run_dir.hydra_config import hydra_config_of
from nas.cli.run_dir.in_use import check_not_in_use
from nas.cli.run_dir.layout import (
    FIRST_EPOCH,
    holds_ranking,
    holds_repetitions,
    holds_run,
    is_finished,
    last_checkpoint,
    left_first_epoch,
    remove_failure,
    run_directory,
    seed_directory,
)
from nas.cli.run_dir.record import overrides_of_seed
from nas.utils.atomic_write import remove_temporary_files
from nas.utils.created_directory import created_directory
from nas.utils.errors import NasError
from nas.utils.user_path import real_path, user_path

PROBE = 1 << 16  # bytes: more than Hydra writes at the start of a run
LONGEST = 64  # bytes of the longest path within a run directory
Directories = Mapping[str, Path]
"""Directories of a run by the option that names them."""


def run_directories(cfg: DictConfig, job: int | None = None) -> dict[str, Path]:
    """Return the directories that a run writes to.

    Args:
        cfg: the composed configuration, Hydra's own part included.
        job: the number of a job of a sweep, None for a single run.

    Returns:
        Hydra's output directory, that of ``paths.output`` if it is another one, and further ones of single parts, by
        option.
    """
    label = "hydra.run.dir" if job is None else "hydra.sweep.subdir"
    with read_write(cfg.hydra), open_dict(cfg.hydra):
        if job is not None:
            cfg.hydra.job.num, cfg.hydra.job.id = job, str(job)
    with hydra_config_of(cfg):
        directory = Path(cfg.hydra.run.dir) if job is None else Path(cfg.hydra.sweep.dir, cfg.hydra.sweep.subdir)
    if "${" in os.path.abspath(directory):
        raise NasError(
            f"{label}: {os.path.abspath(directory)} contains '${{', which Hydra reads as an interpolation. Choose "
            "another directory."
        )
    with read_write(cfg.hydra), open_dict(cfg.hydra):
        cfg.hydra.runtime.output_dir = os.path.abspath(directory)
    with hydra_config_of(cfg):
        return output_directories(cfg, label, directory)


def output_directories(cfg: DictConfig, label: str, directory: Path) -> dict[str, Path]:
    """Return ``directory`` of Hydra's option ``label`` and all others that a run writes to, by option."""
    found, output = {label: directory}, OmegaConf.select(cfg, "paths.output")
    if output is not None and os.path.abspath(output) != os.path.abspath(directory):
        found["paths.output"] = Path(output)
    found |= other_outputs(cfg, found.values())
    results = Path(output) if output is not None else directory
    return found | {f"seeds.{seed}": seed_directory(results, seed) for seed in cfg.get("seeds") or ()}


def check_record(cfg: DictConfig) -> None:
    """Raise NasError if Hydra would write its record of the run out of the run directory."""
    name = cfg.hydra.output_subdir
    if name is not None and (os.path.isabs(name) or ".." in Path(name).parts):
        raise NasError(f"hydra.output_subdir={name}: use a name within the run directory, such as .hydra, or null.")


def unresolved(cfg: DictConfig, key: str) -> str:
    """Return the text of an option, with its interpolations; empty if the option is absent or null."""
    parent, _, leaf = key.rpartition(".")
    node: Any = OmegaConf.select(cfg, parent)
    text: Any = None if node is None else OmegaConf.to_container(node, resolve=False).get(leaf)  # type: ignore[union-attr]
    return "" if text is None else str(text)


def sweep_directory(cfg: DictConfig) -> Path:
    """Return the directory of a sweep by the configuration that Hydra composes for the sweep itself."""
    with hydra_config_of(cfg):
        return Path(cfg.hydra.sweep.dir)


def check_directories(directories: Directories, ckpt_path: str | None, overrides: Sequence[str] = ()) -> None:
    """Raise NasError if a run would write over another one, or into the directory of another process.

    Args:
        directories: directories by option.
        ckpt_path: the run to resume, which may be in one of them.
        overrides: those of the run. One with the same overrides that was stopped in its first epoch starts again.
    """
    for option, directory in directories.items():
        check_name(directory, option)
        check_not_in_use(directory, option)
        if option.startswith("seeds."):
            _check_seed(directory, option, next(iter(directories.values())))
        if (directory / "summary.json").exists():
            raise NasError(f"{option}: {directory} holds a finished run (summary.json). Choose another directory.")
        run = _enclosing_run(directory)
        if run is not None:
            check_not_in_use(run, option)
        checkpoints = option.endswith(".dirpath") and any(directory.glob("*.ckpt"))
        taken = run is not None or holds_run(directory) or checkpoints
        finished = run is not None and (run / "summary.json").exists()
        accepted = _is_resumed(directory, ckpt_path, option) or is_repeated(option, directory, overrides)
        if taken and (finished or not accepted):
            raise _taken(directory, option, inside=run)
        check_writable(directory, option)


def _check_seed(directory: Path, option: str, run: Path) -> None:
    """Raise NasError for the directory of a seed if the interrupted run with all seeds can be resumed."""
    results = directory.parent
    left = (directory / "summary.json").exists() or last_checkpoint(directory) is not None
    if left and overrides_file(run).is_file() and not is_finished(run, results):
        more = "" if results == run else f" paths.output={results}"
        raise NasError(
            f"{option}: {run} holds an interrupted run with seeds. Resume all of its searches by "
            f"ckpt_path={run}{more}, or choose another directory."
        )


def is_repeated(option: str, directory: Path, overrides: Sequence[str]) -> bool:
    """Return whether a run with these overrides, or a search of its ``seeds``, was stopped there in its first epoch."""
    own = list(overrides)
    if option.startswith("seeds."):
        own = overrides_of_seed(own, option.removeprefix("seeds."))
    try:
        return left_first_epoch(directory) and saved_overrides(directory) == own
    except NasError:  # the record is damaged
        return False


def remove_first_epoch(directories: Directories, overrides: Sequence[str]) -> None:
    """Remove the files of a run that was stopped in its first epoch, which this run repeats.

    Temporary files and the error of a run that was stopped before its first result are removed as well.
    """
    for option, directory in directories.items():
        repeated = is_repeated(option, directory, overrides)
        for name in FIRST_EPOCH if repeated else ():
            (directory / name).unlink(missing_ok=True)
        if repeated or not holds_run(directory):
            remove_failure(directory)  # it may be newer than the results, if the clock has been set back
            for folder in (directory, directory / "checkpoints", directory / FOLDER):
                remove_temporary_files(folder)


def _enclosing_run(directory: Path) -> Path | None:
    """Return the run whose folder of checkpoints, or record, is or contains a directory; None if there is none."""
    path = directory.absolute()
    folders = [place for place in (path, *path.parents) if place.name in ("checkpoints", FOLDER)]
    return next((place.parent for place in folders if holds_run(place.parent)), None)


def _is_resumed(directory: Path, given: str | None, option: str) -> bool:
    """Return whether ``ckpt_path`` names the run that has written to a directory."""
    if given is None:
        return False
    path = user_path(given)
    source = run_directory(path) or path.parent.parent  # of a checkpoint in the directory of paths.output
    own = [source, source / "checkpoints", *([path.parent] if path.is_file() else [])]
    if overrides_file(source).is_file():
        recorded = value_of(saved_overrides(source), option)
        own += [Path(recorded)] if recorded else []
    return real_path(directory) in [real_path(place) for place in own]


def _taken(directory: Path, option: str, inside: Path | None) -> NasError:
    if inside is not None:
        return NasError(f"{option}: {directory} is a folder of the run {inside}. Choose another directory.")
    if left_first_epoch(directory):
        return NasError(
            f"{option}: {directory} holds another run, which was stopped in its first epoch and cannot be resumed. "
            "Remove it, or choose another directory."
        )
    if last_checkpoint(directory) is None and not holds_ranking(directory) and not holds_repetitions(directory):
        return NasError(f"{option}: {directory} holds the files of another run. Choose another directory.")
    return NasError(
        f"{option}: {directory} holds an interrupted run. Resume it by ckpt_path={directory}, or choose another "
        "directory."
    )


def check_name(directory: Path, option: str) -> None:
    """Raise NasError for a name that is too long for the file system."""
    path = directory.absolute()
    for name in path.parts:
        if len(os.fsencode(name)) > 255:
            raise NasError(
                f"{option}: the directory name {name[:40]}... has {len(os.fsencode(name))} bytes, and file systems "
                "allow 255. Choose a shorter one, such as ${hydra.job.num} for the jobs of a sweep."
            )
    if len(os.fsencode(str(path))) > 4095 - LONGEST:
        raise NasError(f"{option}: the path {str(path)[:40]}... is too long. Choose a shorter one.")


def check_writable(directory: Path, option: str) -> None:
    """Raise NasError if the directory cannot be written; the probe removes all that it has created."""
    try:
        with created_directory(directory), tempfile.TemporaryFile(dir=directory) as file:
            file.write(b"\0" * PROBE)
    except OSError as error:
        raise NasError(f"{option}: cannot write to {directory} ({error.strerror}). Choose another directory.") from None
