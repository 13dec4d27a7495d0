"""Default data set of a training: that of the search that found its genotype."""

from __future__ import annotations

import json
import os
from pathlib import Path

from nas.cli.overrides.parse import key_of, quote, saved_choices, saved_overrides, value_of
from nas.utils.errors import NasError

GENOTYPE_FILE = "genotype.json"
INPUT = (
    *("root", "shape", "classes", "class_list", "channels", "image_size", "resize", "scale", "color_jitter", "extra"),
    *("path", "config", "data_dir", "data_files", "revision", "train", "test"),
    *("image_column", "label_column", "load_size"),
    *("test_folder", "test_fraction", "test_seed", "test_list"),
)
"""Options of a data set that define the input of a network, how images are read, or which images are tested."""
IMAGE_LIST = "images.json"
"""File of a run with its training and test images, if they were sampled from class folders."""


def inherit_from_search(arguments: list[str]) -> list[str]:
    """Add the data set of the search whose run directory ``genotype`` names, unless the command line chooses one.

    A protocol names its own data set; the location of the data is inherited with it as well. If the search had half of
    the test images (dataset.split=nas_bench_201), the network is tested on the other half.
    """
    given = value_of(arguments, "genotype")
    directory = None if given is None else searched_run(given)
    if directory is None or value_of(arguments, "dataset"):
        return arguments
    if "dataset" not in saved_choices(directory):
        if value_of(arguments, "protocol") is None:
            refuse_without_record(f"genotype={given}", directory)
        return arguments
    lines = saved_overrides(directory)
    inherited = []
    if value_of(arguments, "protocol") is not None:
        keys = ["paths.data"]
    else:
        inherited.append(f"dataset={saved_choices(directory)['dataset']}")
        keys = ["paths.data", *(f"dataset.{name}" for name in INPUT)]
    inherited += [line for line in lines if key_of(line) in keys]
    if value_of(arguments, "protocol") is None:
        inherited += image_list(directory, arguments)
    if all(value_of(arguments, key) is None for key in ("protocol", "dataset.split", "dataset.hold_out")):
        inherited += [line for line in lines if _selects_test_images(line)]
    return [*(line for line in inherited if value_of(arguments, key_of(line)) is None), *arguments]


def searched_run(genotype: str) -> Path | None:
    """Return the run directory that ``genotype`` names by itself or by its genotype.json, None for anything else."""
    path = Path(os.path.expanduser(genotype))
    if path.name == GENOTYPE_FILE and os.path.isfile(path):
        return path.parent
    return path if os.path.isdir(path) else None  # Path.is_dir raises for a genotype, which is a name too long


def refuse_without_record(option: str, directory: Path) -> None:
    """Raise NasError if a directory holds a run, but no record of its data set.

    The default data set of train.py would replace that of the run without a word.
    """
    left = [name for name in ("summary.json", "history.jsonl", "checkpoints/last.ckpt") if (directory / name).is_file()]
    if not left:
        return
    try:
        named = f"dataset={json.loads((directory / 'summary.json').read_text())['dataset']}"
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
