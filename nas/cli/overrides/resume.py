"""The command line of a run that goes on."""

from __future__ import annotations

from pathlib import Path

from nas.cli.overrides.parse import merge_overrides, override, quote, saved_choices, saved_overrides
from nas.cli.run_dir.layout import checkpoint_file, holds_repetitions, holds_scan, run_directory
from nas.utils.errors import NasError


def continue_run(arguments: list[str], job: str, sweeping: bool = False) -> list[str]:
    """With ``ckpt_path`` naming a run directory, or a checkpoint in one: the same run, in the same directory.

    Hydra's record of the run stays as it is until the checkpoint has been taken up (``Resumed``).
    """
    given = override(arguments, "ckpt_path")
    if given is None or given == "null":
        return arguments
    directory = run_directory(Path(given).expanduser())
    here = override(arguments, "hydra.run.dir") is None
    if directory is not None and here and (directory / "summary.json").exists():
        raise NasError(
            f"{directory} holds a finished run (summary.json): there is nothing to go on with; to add epochs give "
            "epochs=N and hydra.run.dir=NEW"
        )
    saved = [] if directory is None else saved_overrides(directory)
    if directory is not None:
        _check_choices(directory, arguments)
    if directory is None or not (holds_scan(directory) or holds_repetitions(directory)) or job != "search":
        file = checkpoint_file(given)
        assert file is not None
        _check_job(file, job)  # after all that can be said without reading it
    if directory is None:
        return arguments
    completed = merge_overrides(saved, arguments)
    if here and not sweeping:
        completed += [f"hydra.run.dir={quote(str(directory))}", "hydra.output_subdir=null"]
    return completed


def _check_choices(directory: Path, arguments: list[str]) -> None:
    """Raises NasError where the command line asks for another method or space than the run has."""
    for group in ("method", "space"):
        asked = override(arguments, group)
        chosen = saved_choices(directory).get(group) if asked else None
        if chosen is not None and asked != chosen:
            raise NasError(
                f"ckpt_path: {directory} is a run with {group}={chosen}, not {asked}: leave out {group}={asked} to go "
                "on with it, or ckpt_path to start anew"
            )


def _check_job(path: Path, job: str) -> None:
    # imported only here: it needs torch, and a wrong path should not wait for that
    from nas.cli.run_dir.checkpoints import read_checkpoint

    found = "search" if "search" in read_checkpoint(path) else "train"
    if found != job:
        raise NasError(f"ckpt_path: {path} was written by {found}.py: python {found}.py ckpt_path={path}")
