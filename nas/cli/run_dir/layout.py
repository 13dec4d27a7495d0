"""Run directories: whose they are, and whether a run may write there."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from omegaconf import DictConfig

from nas.utils.errors import NasError

SCORES = "scores.jsonl"  # the log of a scan, which goes on without a checkpoint
REPETITIONS = "repetitions.jsonl"  # a line for each search that has ended, and that is not made again
SEARCHED = ("summary.json", "genotype.json", "history.jsonl", REPETITIONS, SCORES)
RESULTS = (*SEARCHED, "model.pt", "model.onnx", "model.pt2", "confusion.png")
PROBE = 1 << 16  # bytes: more than what Hydra writes at the start of a run


def check_directory(cfg: DictConfig, sweeping: bool = False) -> None:
    """Raises NasError where a run would write over another one, or cannot write. Ranks of a running job pass."""
    if "LOCAL_RANK" in os.environ:
        return
    directory = Path(cfg.hydra.sweep.dir if sweeping else cfg.hydra.run.dir)
    option = "hydra.sweep.dir" if sweeping else "hydra.run.dir"
    if sweeping:
        taken = [path for path in sorted(directory.glob("*")) if path.is_dir() and holds_run(path)]
        if taken:
            raise NasError(f"{directory} holds the jobs of another sweep ({taken[0].name}): choose another {option}")
    elif (directory / "summary.json").exists():
        raise NasError(f"{directory} holds a finished run (summary.json): choose another {option}")
    elif holds_run(directory):
        _check_continues(directory, cfg.ckpt_path)
    _check_writable(directory, option)


def holds_run(directory: Path) -> bool:
    """Whether a run has left something there that another one would write over."""
    return last_checkpoint(directory) is not None or any((directory / name).exists() for name in RESULTS)


def last_checkpoint(directory: Path) -> Path | None:
    """The checkpoint of the last whole epoch in a run directory."""
    path = directory / "checkpoints" / "last.ckpt"
    return path if path.is_file() else None


def holds_scan(directory: Path) -> bool:
    """Whether a scan has begun there."""
    return (directory / SCORES).is_file()


def holds_repetitions(directory: Path) -> bool:
    """Whether a run of many searches has begun there."""
    return (directory / REPETITIONS).is_file()


def run_directory(path: Path) -> Path | None:
    """The run directory that ``path`` is, or lies in as checkpoints/*.ckpt; None for a checkpoint elsewhere."""
    if path.is_dir():
        return path
    if not path.exists():
        raise NasError(f"ckpt_path: there is no {path}; give a run directory or a checkpoint file")
    parent = path.parent.parent
    return parent if (parent / ".hydra").is_dir() else None


def checkpoint_file(given: str | None) -> Path | None:
    """The checkpoint that ``ckpt_path`` stands for, or None where it is not set."""
    if given is None:
        return None
    path = Path(given).expanduser()
    path = path / "checkpoints" / "last.ckpt" if path.is_dir() else path
    if not path.is_file() and holds_repetitions(Path(given).expanduser()):
        raise NasError(
            f"ckpt_path: {given} holds {REPETITIONS} of a search.py with method.repetitions=N, and no checkpoint: it "
            "goes on with as many of them, or more"
        )
    if not path.is_file():
        raise NasError(
            f"ckpt_path: there is no {path}; the run was stopped before its first epoch ended, start it anew"
        )
    return path


def _check_continues(directory: Path, given: str | None) -> None:
    source = run_directory(Path(given).expanduser()) if given is not None else None
    if source is not None and source.resolve() == directory.resolve():
        return
    if last_checkpoint(directory) is None and not holds_scan(directory) and not holds_repetitions(directory):
        raise NasError(f"{directory} holds the files of another run: choose another hydra.run.dir")
    raise NasError(
        f"{directory} holds an interrupted run: go on with ckpt_path={directory}, or choose another hydra.run.dir"
    )


def _check_writable(directory: Path, option: str) -> None:
    """Leaves nothing behind: the run itself may get another directory, whose name says a later time."""
    absent = [path for path in (directory, *directory.parents) if not path.exists()]
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory) as file:
            file.write(b"\0" * PROBE)
    except OSError as error:
        raise NasError(f"{option}: cannot write to {directory} ({error.strerror}): choose another one") from None
    finally:
        for path in absent:
            with suppress(OSError):  # not made, or another run has written there by now
                path.rmdir()
