"""Completion of the command line of a resumed run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nas.cli.overrides.conf_dir import CONF
from nas.cli.overrides.inherit_from_search import image_list
from nas.cli.overrides.parse import key_of, merge_overrides, quote, value_of
from nas.cli.overrides.run_record import check_overrides, overrides_file, saved_choices, saved_overrides, saved_seeds
from nas.cli.run_dir.in_use import check_not_in_use
from nas.cli.run_dir.layout import (
    MULTIRUN_FILE,
    checkpoint_file,
    checkpoints_of_seeds,
    holds_ranking,
    holds_repetitions,
    is_finished,
    last_checkpoint,
    refuse_special_files,
    run_directory,
    seed_directories,
)
from nas.cli.run_dir.ranks import is_first_rank
from nas.utils.errors import NasError
from nas.utils.program import job_command
from nas.utils.user_path import user_path


def resume(arguments: list[str], job: str, sweeping: bool = False, path: Sequence[Path] = (CONF,)) -> list[str]:
    """Add the overrides and the directory of the run that ``ckpt_path`` names (its directory, or a checkpoint in it).

    The record is untrusted: overrides that the command line does not replace are checked (``check_overrides``)
    against the user's configuration ``path``. Hydra's record of the run is updated only after the checkpoint has been
    loaded (``RewriteOnResume``).
    """
    given = value_of(arguments, "ckpt_path")
    if given is None or given == "null":
        return arguments
    directory = run_directory(user_path(given))
    here = value_of(arguments, "hydra.run.dir") is None
    if directory is not None and here and not sweeping:
        refuse_special_files(directory)
    if directory is not None and here and not sweeping and is_first_rank():
        check_not_in_use(directory, f"ckpt_path={given}")
    if directory is not None and here:
        _refuse_finished(given, directory, directory)
    _refuse_sweep_of_seeds(given, directory)
    _refuse_sweep(given, directory)
    saved = [] if directory is None else saved_overrides(directory)
    output = value_of(arguments, "paths.output") or value_of(saved, "paths.output")
    if directory is not None and here and output is not None:
        _refuse_finished(given, directory, user_path(output))
    if value_of(arguments, "epochs") is not None:  # the length, which a saved trainer.max_epochs would override
        saved = [line for line in saved if key_of(line) != "trainer.max_epochs"]
    completed = merge_overrides(saved, arguments)
    if directory is not None:
        check_overrides([line for line in completed if line not in arguments], overrides_file(directory), path)
        _check_same_choices(directory, arguments)
    if directory is None or not (holds_ranking(directory) or holds_repetitions(directory)) or job != "search":
        _check_job(_checkpoint(given, directory, saved, arguments), job)  # last, because it reads the checkpoint
    if directory is None:
        return arguments
    if not here and value_of(arguments, "dataset.test_list") is None:
        completed += image_list(directory, arguments)
    if here and not sweeping:
        completed += [f"hydra.run.dir={quote(str(directory))}", "hydra.output_subdir=null"]
    return completed


def saved_lines(arguments: Sequence[str], completed: Sequence[str]) -> dict[str, Path]:
    """Return the overrides that ``resume`` took over from the record of a run, with the file of the record."""
    given = value_of(arguments, "ckpt_path")
    directory = None if given in (None, "null") else run_directory(user_path(str(given)))
    if directory is None:
        return {}
    file = overrides_file(directory)
    return {line: file for line in completed if line not in arguments and not line.startswith("hydra.")}


def _refuse_finished(given: str, directory: Path, results: Path) -> None:
    """Raise NasError if a run has all its results."""
    if is_finished(directory, results):
        raise NasError(
            f"ckpt_path={given}: {results} holds a finished run (summary.json). To add epochs set epochs=N and "
            f"hydra.run.dir=NEW{'' if results == directory else ' paths.output=NEW'}."
        )


def _refuse_sweep_of_seeds(given: str, directory: Path | None) -> None:
    """Raise NasError for a directory that holds the jobs of a sweep over seeds, and no run with ``seeds``."""
    searches = [] if directory is None or overrides_file(directory).is_file() else seed_directories(directory)
    if searches:
        raise NasError(
            f"ckpt_path={given}: it holds the runs of {len(searches)} seeds. Resume each run separately, such as "
            f"ckpt_path={searches[0]}."
        )


def _refuse_sweep(given: str, directory: Path | None) -> None:
    """Raise NasError for the directory of a sweep."""
    if directory is not None and (directory / MULTIRUN_FILE).is_file() and not overrides_file(directory).is_file():
        raise NasError(
            f"ckpt_path={given}: it holds the jobs of a sweep. Run the command of the sweep again with "
            f"hydra.sweep.dir={given} and without ckpt_path."
        )


def _refuse_other_output(directory: Path, saved: Sequence[str]) -> None:
    """Raise NasError if the record of a run names another directory for its checkpoints."""
    output, folder = value_of(saved, "paths.output"), value_of(saved, "callbacks.checkpoint.dirpath")
    for key, value, fix in (
        ("paths.output", output, f"Add paths.output={output}"),
        ("callbacks.checkpoint.dirpath", folder, f"Use ckpt_path={folder}/last.ckpt with all options of the run"),
    ):
        if value is not None:
            raise NasError(f"ckpt_path={directory}: the run has its checkpoints elsewhere ({key}={value}). {fix}.")


def _checkpoint(given: str, directory: Path | None, saved: Sequence[str], arguments: Sequence[str]) -> Path:
    """Return the checkpoint that ``ckpt_path`` names, or one of those of a run with ``seeds``.

    Raises:
        NasError: if there is none.
    """
    output = value_of(arguments, "paths.output")
    found = {} if directory is None else checkpoints_of_seeds(directory, output)
    if directory is not None and found and saved_seeds(directory) is not None:
        return next(iter(found.values()))
    if directory is not None and output is None and last_checkpoint(directory) is None:
        _refuse_other_output(directory, saved)
    file = checkpoint_file(given, output)
    assert file is not None
    return file


def _check_same_choices(directory: Path, arguments: list[str]) -> None:
    """Raise NasError if the command line chooses another method or space than the run has."""
    for group in ("method", "space"):
        given = value_of(arguments, group)
        chosen = saved_choices(directory).get(group) if given else None
        if chosen is not None and given != chosen:
            raise NasError(
                f"{group}={given}: {directory} is a run with {group}={chosen}. Leave out {group}={given} to resume it, "
                "or ckpt_path to start from scratch."
            )


def _check_job(path: Path, job: str) -> None:
    # imported here, because it needs torch and a wrong path should be reported without waiting for that
    from nas.cli.run_dir.checkpoints import read_checkpoint

    saved_job = "search" if "search" in read_checkpoint(path) else "train"
    if saved_job != job:
        raise NasError(
            f"ckpt_path: {path} is the checkpoint of {saved_job}.py. Run {job_command(saved_job)} ckpt_path={path}"
        )
