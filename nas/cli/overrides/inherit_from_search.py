"""Default data set and layout of a training: those of the search that found its genotype."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nas.cli.overrides.conf_dir import CONF
from nas.cli.overrides.hydra_internals import parse_override
from nas.cli.overrides.inherit_layout import inherit_layout
from nas.cli.overrides.parse import key_of, quote, value_of
from nas.cli.overrides.run_record import (
    check_choice,
    check_overrides,
    choices_file,
    overrides_file,
    saved_choices,
    saved_overrides,
)
from nas.utils.errors import NasError
from nas.utils.read_file import read_json
from nas.utils.user_path import user_path

GENOTYPE_FILE = "genotype.json"
TEXT, NUMBER, LIST = (str,), (int, float), (list,)
INPUT: dict[str, tuple[type, ...]] = {
    "root": TEXT,
    "shape": LIST,
    "classes": (int,),
    "class_list": TEXT,
    "channels": (int,),
    "image_size": (int,),
    "resize": (int,),
    "scale": LIST,
    "color_jitter": LIST,
    "extra": (bool,),
    **dict.fromkeys(("path", "config", "data_dir", "revision", "train", "test"), TEXT),
    **dict.fromkeys(("image_column", "label_column"), TEXT),
    "data_files": (str, list, dict),
    "load_size": (int,),
    **dict.fromkeys(("test_folder", "test_list"), TEXT),
    "test_fraction": NUMBER,
    "test_seed": (int,),
}
"""Options of a data set that define the input of a network, the reading of images or the tested images; their types."""
IMAGE_LIST = "images.json"
"""File of a run with its training and test images, if they were sampled from class folders."""
TYPES = {"paths.data": TEXT, **{f"dataset.{key}": kinds for key, kinds in INPUT.items()}}
SELECTION = {"dataset.split": (*TEXT, *NUMBER), "dataset.test_split": TEXT}


def inherit_from_search(arguments: list[str], path: Sequence[Path] = (CONF,)) -> list[str]:
    """Add the data set of the search whose run directory ``genotype`` names, unless the command line chooses one.

    A protocol names its own data set; the location of the data is inherited with it as well. If the search had half of
    the test images (dataset.split=nas_bench_201), the network is tested on the other half. In single-path spaces the
    network has the layout of the search, on any data set.

    The record of the run is untrusted. ``path`` has the directories of the user's configuration.
    """
    given = value_of(arguments, "genotype")
    directory = None if given is None else searched_run(given)
    if directory is None:
        return arguments
    if value_of(arguments, "dataset"):
        return [*inherit_layout(directory, arguments), *arguments]
    if "dataset" not in saved_choices(directory):
        if value_of(arguments, "protocol") is None:
            refuse_without_record(f"genotype={given}", directory)
        return arguments
    inherited = []
    if value_of(arguments, "protocol") is not None:
        keys = ["paths.data"]
    else:
        choice = saved_choices(directory)["dataset"]
        check_choice("dataset", choice, choices_file(directory), path)
        inherited.append(f"dataset={choice}")
        keys = list(TYPES)
    lines = saved_overrides(directory)
    inherited += [line for line in lines if key_of(line) in keys]
    if value_of(arguments, "protocol") is None:
        inherited += image_list(directory, arguments)
    if all(value_of(arguments, key) is None for key in ("protocol", "dataset.split", "dataset.hold_out")):
        inherited += [line for line in lines if _selects_test_images(line)]
    inherited = [line for line in inherited if value_of(arguments, key_of(line)) is None]
    check_overrides(inherited, overrides_file(directory), path)
    for line in inherited:
        _check_type(line, overrides_file(directory))
    return [*inherited, *inherit_layout(directory, arguments), *arguments]


def _check_type(line: str, file: Path) -> None:
    """Raise NasError if a value is not of a type that its key takes."""
    value: Any = parse_override(line).value()
    kinds = {**TYPES, **SELECTION}.get(key_of(line), (str,))
    items = value if isinstance(value, list) and kinds == LIST else []
    if value is not None and (not isinstance(value, kinds) or not all(isinstance(item, int | float) for item in items)):
        raise NasError(
            f"{file}: {line[:200]}: {key_of(line)} does not accept this type of value. Set {key_of(line)} on the "
            "command line."
        )


def searched_run(genotype: str) -> Path | None:
    """Return the run directory that ``genotype`` names by itself or by its genotype.json, None for anything else."""
    path = user_path(genotype)
    if path.name == GENOTYPE_FILE and os.path.isfile(path):
        return path.parent
    return path if os.path.isdir(path) else None  # Path.is_dir raises for a genotype, which is a name too long


def refuse_without_record(option: str, directory: Path) -> None:
    """Raise NasError if a directory holds a run, but no record of its data set.

    The default data set of train.py would silently replace that of the run.
    """
    existing = [
        name for name in ("summary.json", "history.jsonl", "checkpoints/last.ckpt") if (directory / name).is_file()
    ]
    if not existing:
        return
    try:
        named = f"dataset={read_json(directory / 'summary.json')['dataset']}"
    except (OSError, ValueError, KeyError, TypeError):
        named = "dataset=NAME"
    raise NasError(
        f"{option}: {directory / '.hydra'} is missing (hydra.output_subdir=null), so the options of the run's data set "
        f"are unknown. Set {named} and its options, such as paths.data."
    )


def image_list(directory: Path, arguments: list[str]) -> list[str]:
    """Return the override that reuses the training and test images of a run, if the run has a list of them.

    It is left out if the command line chooses another folder.
    """
    file = directory / IMAGE_LIST
    known = file.is_file() and value_of(arguments, "dataset.root") is None
    return [f"dataset.test_list={quote(str(file))}"] if known else []


def _selects_test_images(line: str) -> bool:
    """Return whether an override selects the half of the test images that a search has seen."""
    key, value = key_of(line), line.partition("=")[2].strip("'\"")
    return key == "dataset.test_split" or (key == "dataset.split" and value == "nas_bench_201")
