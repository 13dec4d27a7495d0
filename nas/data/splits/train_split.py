"""Split of the training images into a part for the weights and a part for the architecture."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nas.data.splits.read_list import read_list
from nas.utils.errors import NasError, one_line
from nas.utils.read_file import parse_json, read_text
from nas.utils.user_path import user_path

_FIX = "Set halves, a fraction between 0 and 1, or the path of a split file (JSON with 'train' and 'valid')."


def split_train_images(split: str | float | Path, size: int) -> tuple[Tensor, Tensor]:
    """Return the indices (int64, ascending unless from a file) of the images for the weights and the architecture.

    Args:
        split: ``"halves"``: the first ``floor(size / 2)`` images train the weights and the others train the
            architecture, as in DARTS. A number: the fraction for the weights, also from the start. Any other string:
            the path of a split file as published with NAS-Bench-201, with ``train`` for the weights and ``valid`` for
            the architecture.
        size: number of training images.

    Raises:
        NasError: if a part would be empty, or the file is missing or does not list each of ``size`` images once.
    """
    if isinstance(split, str | Path) and split != "halves":
        return _read_split_file(user_path(split), size)
    fraction = 0.5 if split == "halves" else float(split)
    first = math.floor(fraction * size) if 0 < fraction < 1 else 0
    if not 0 < first < size:
        raise NasError(f"dataset.split={split}: a part of the {size} training images would be empty. {_FIX}")
    return torch.arange(first), torch.arange(first, size)


def _read_split_file(path: Path, size: int) -> tuple[Tensor, Tensor]:
    option = f"dataset.split={path}"
    text = read_list(path, option, _FIX, read_text)
    return parse_train_split(text, size, option)


def parse_train_split(text: str, size: int, option: str) -> tuple[Tensor, Tensor]:
    """Return the indices of ``split_train_images`` from the content of a file; ``option`` names it in errors."""
    try:
        content = parse_json(text)
    except ValueError as error:
        raise NasError(f"{option}: not a split file ({one_line(error)}). {_FIX}") from error
    if not isinstance(content, dict) or not {"train", "valid"} <= content.keys():
        keys = ", ".join(content) if isinstance(content, dict) else type(content).__name__
        raise NasError(f"{option}: has no 'train' and 'valid' (only {keys}). {_FIX}")
    parts = tuple(_parse_indices(content[key], key, option) for key in ("train", "valid"))
    ordered = torch.cat(parts).sort().values
    if not torch.equal(ordered, torch.arange(size)):
        span = f"{ordered.min()}..{ordered.max()}" if len(ordered) else "none"
        raise NasError(
            f"{option}: lists {len(ordered)} indices ({span}), but the data set has {size} training images. "
            f"Set a file that lists each of 0..{size - 1} once."
        )
    return parts[0], parts[1]


def _parse_indices(entry: Any, key: str, option: str) -> Tensor:
    """Parse a list of indices, or ``["int", [indices as strings]]`` as in the files of NAS-Bench-201."""
    values = entry[1] if isinstance(entry, list) and len(entry) == 2 and entry[0] == "int" else entry
    try:
        return torch.tensor([int(value) for value in values], dtype=torch.int64)
    except (TypeError, ValueError) as error:
        raise NasError(f"{option}: '{key}' is not a list of indices ({one_line(error)}). {_FIX}") from error
