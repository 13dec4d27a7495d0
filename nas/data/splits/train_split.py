"""Which training images train the weights and which the architecture."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nas.utils.errors import NasError

_CHOICES = "give 'halves', a portion between 0 and 1, or the path of a split file (JSON with 'train' and 'valid')"


def split_train_images(split: str | float, size: int) -> tuple[Tensor, Tensor]:
    """The indices (int64, in order) of the images for the weights and of those for the architecture.

    Args:
        split: ``"halves"`` is the rule of DARTS, the first ``floor(size / 2)`` images for the weights and the others
            for the architecture; a number is the portion for the weights, likewise from the start; anything else is
            the path of a split file as of NAS-Bench-201, whose ``train`` trains the weights and ``valid`` the
            architecture.
        size: number of training images.

    Raises:
        NasError: if the portion leaves a part empty, or the file is missing or was not made for ``size`` images.
    """
    if isinstance(split, str) and split != "halves":
        return _read(Path(split).expanduser(), size)
    portion = 0.5 if split == "halves" else float(split)
    first = math.floor(portion * size) if 0 < portion < 1 else 0
    if not 0 < first < size:
        raise NasError(f"split {split} leaves a part of the {size} training images empty: {_CHOICES}")
    return torch.arange(first), torch.arange(first, size)


def _read(path: Path, size: int) -> tuple[Tensor, Tensor]:
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        raise NasError(f"no split file at {path.absolute()}: {_CHOICES}") from None
    except (OSError, ValueError) as error:
        raise NasError(f"cannot read the split file {path}: {error}; {_CHOICES}") from error
    if not isinstance(content, dict) or not {"train", "valid"} <= content.keys():
        found = ", ".join(content) if isinstance(content, dict) else type(content).__name__
        raise NasError(f"the split file {path} has no 'train' and 'valid' (it has: {found}): {_CHOICES}")
    parts = tuple(_indices(content[key], key, path) for key in ("train", "valid"))
    ordered = torch.cat(parts).sort().values
    if not torch.equal(ordered, torch.arange(size)):
        span = f"{ordered.min()}..{ordered.max()}" if len(ordered) else "none"
        raise NasError(
            f"the split file {path} does not fit the {size} training images: it has {len(ordered)} indices "
            f"({span}), but each of 0..{size - 1} must be there once"
        )
    return parts[0], parts[1]


def _indices(entry: Any, key: str, path: Path) -> Tensor:
    """One part of the file: a list of indices, or ``["int", [indices as strings]]`` as NAS-Bench-201 writes it."""
    values = entry[1] if isinstance(entry, list) and len(entry) == 2 and entry[0] == "int" else entry
    try:
        return torch.tensor([int(value) for value in values], dtype=torch.int64)
    except (TypeError, ValueError) as error:
        raise NasError(f"'{key}' of the split file {path} is not a list of indices: {error}") from error
