"""Custom space of a training or evaluation: that of the run which its genotype or weights come from."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from nas.cli.overrides.conf_dir import CONF
from nas.cli.overrides.parse import key_of, value_of
from nas.cli.overrides.run_record import check_overrides, overrides_file, saved_choices, saved_config, saved_overrides
from nas.cli.overrides.search_path import is_choice
from nas.utils.user_path import user_path

GROUP = "space"


def inherit_space(arguments: list[str], path: Sequence[Path] = (CONF,)) -> list[str]:
    """Add ``space=NAME`` and its options if a command line of train.py names a run of a custom space.

    The file of a custom space is in a directory of the user's configuration or in an installed package, not in conf/.
    Its class, model or ops must also be custom, because a training needs none of the sizes of a built-in space. A
    choice that the user's configuration lacks is left out, and the error for the genotype names the missing part. The
    record of the run is untrusted, and its values are checked.
    """
    if value_of(arguments, GROUP) is not None:
        return arguments
    named = [value for key in ("genotype", "weights") if (value := value_of(arguments, key))]
    directory = next((run for value in named if (run := _run_of(value)) is not None), None)
    choice = None if directory is None else saved_choices(directory).get(GROUP)
    if directory is None or choice is None or not is_choice(GROUP, choice, path):
        return arguments
    if (CONF / GROUP / f"{choice}.yaml").is_file() or not _has_own_parts(directory):
        return arguments
    keys = {key_of(line) for line in arguments}
    lines = [line for line in saved_overrides(directory) if key_of(line).startswith(f"{GROUP}.")]
    overrides = [f"{GROUP}={choice}", *(line for line in lines if key_of(line) not in keys)]
    check_overrides(overrides, overrides_file(directory), path)
    return [*overrides, *arguments]


def _has_own_parts(directory: Path) -> bool:
    """Return whether the record of a run has a space with a class, a model or ops of the user."""
    space = saved_config(directory).get(GROUP)
    if not isinstance(space, dict) or "model" in space or not str(space.get("_target_")).startswith("nas."):
        return True
    ops = space.get("ops")
    return isinstance(ops, dict) or any(isinstance(op, dict) or "." in str(op) for op in ops or ())


def _run_of(source: str) -> Path | None:
    """Return the run directory ``source``, or the run directory that contains it as a file or checkpoint."""
    path = user_path(source)
    try:
        places = (path, path.parent, path.parent.parent) if os.path.isfile(path) else (path,)
    except ValueError:
        return None
    return next((place for place in places if os.path.isfile(overrides_file(place))), None)
