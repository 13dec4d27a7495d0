"""Check of the output directory: it belongs to no other run and can be written."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from omegaconf import DictConfig

from nas.cli.run_dir.layout import holds_ranking, holds_repetitions, holds_run, last_checkpoint, run_directory
from nas.utils.errors import NasError

PROBE = 1 << 16  # bytes: more than Hydra writes at the start of a run


def check_directory(cfg: DictConfig, sweeping: bool = False) -> None:
    """Raise NasError if a run would overwrite another one, or cannot write. Further ranks of a running job pass."""
    if "LOCAL_RANK" in os.environ:
        return
    directory = Path(cfg.hydra.sweep.dir if sweeping else cfg.hydra.run.dir)
    option = "hydra.sweep.dir" if sweeping else "hydra.run.dir"
    if sweeping:
        taken = [path for path in sorted(directory.glob("*")) if path.is_dir() and holds_run(path)]
        if taken:
            raise NasError(
                f"{option}: {directory} holds the jobs of another sweep ({taken[0].name}). Choose another one."
            )
    elif (directory / "summary.json").exists():
        raise NasError(f"{option}: {directory} holds a finished run (summary.json). Choose another one.")
    elif holds_run(directory):
        _check_resumed(directory, cfg.ckpt_path)
    _check_writable(directory, option)


def _check_resumed(directory: Path, given: str | None) -> None:
    """Raise NasError unless ``ckpt_path`` names the run that the directory holds."""
    source = run_directory(Path(given).expanduser()) if given is not None else None
    if source is not None and source.resolve() == directory.resolve():
        return
    if last_checkpoint(directory) is None and not holds_ranking(directory) and not holds_repetitions(directory):
        raise NasError(f"hydra.run.dir: {directory} holds the files of another run. Choose another one.")
    raise NasError(
        f"hydra.run.dir: {directory} holds an interrupted run. Resume it by ckpt_path={directory}, or choose another "
        "directory."
    )


def _check_writable(directory: Path, option: str) -> None:
    """Raise NasError if the directory cannot be written.

    The probe removes all that it has created: the name of the run's directory contains the time and may differ.
    """
    absent = [path for path in (directory, *directory.parents) if not path.exists()]
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory) as file:
            file.write(b"\0" * PROBE)
    except OSError as error:
        raise NasError(f"{option}: cannot write to {directory} ({error.strerror}). Choose another one.") from None
    finally:
        for path in absent:
            with suppress(OSError):  # not created, or another run has written there by now
                path.rmdir()
