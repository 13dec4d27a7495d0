"""Random subsets of each class for the weights and for the architecture, and their list of files (subset.json)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from nas.data.splits.folder_index import FolderIndex
from nas.utils.errors import NasError, one_line
from nas.utils.read_file import read_json
from nas.utils.seeds import derive_seed

FORMAT = "nas-subset"
_FIX = "Set the subset.json of a search on these images, or leave it out."


def sample_subset(index: FolderIndex, fractions: Sequence[float], seed: int) -> tuple[Tensor, Tensor]:
    """Sample disjoint fractions of the images of each class, for the weights and for the architecture.

    PC-DARTS and DrNAS search on 10 % and 2.5 % of ImageNet, but published no list of images. The images of a class
    depend only on ``seed``, its name and its number of images. Fractions are rounded down, but to at least one image.

    Returns:
        Two ascending tensors of indices (int64).

    Raises:
        NasError: if the fractions are not two positive numbers of sum at most 1, or a class has too few images.
    """
    if len(fractions) != 2 or min(fractions) <= 0 or sum(map(_exact, fractions)) > 1:
        raise NasError(
            f"dataset.subset_fractions={list(fractions)}: not two positive numbers of sum at most 1. "
            "Set the fractions of each class for the weights and for the architecture, such as [0.1,0.025]."
        )
    parts: tuple[list[Tensor], list[Tensor]] = ([], [])
    counts = torch.bincount(index.labels, minlength=len(index.classes)).tolist()
    first = 0
    for name, count in zip(index.classes, counts, strict=True):
        sizes = [max(1, int(_exact(fraction) * count)) for fraction in fractions]
        if sum(sizes) > count:
            raise NasError(
                f"dataset.subset_fractions={list(fractions)}: class '{name}' has {count} image(s) in {index.root}, but "
                f"needs {sum(sizes)}. Add images, or leave the class out of a dataset.class_list."
            )
        order = torch.randperm(count, generator=Generator().manual_seed(derive_seed(seed, name))) + first
        for part, sampled in zip(parts, order[: sum(sizes)].split(sizes), strict=True):
            part.append(sampled.sort().values)
        first += count
    return torch.cat(parts[0]), torch.cat(parts[1])


def subset_to_json(index: FolderIndex, train: Tensor, val: Tensor) -> str:
    """Return the file list of a subset: JSON with the names CLASS/FILE for the weights and for the architecture."""
    lists = {key: [index.files[i] for i in part.tolist()] for key, part in (("train", train), ("valid", val))}
    return json.dumps({"format": FORMAT, "version": 1, **lists}, indent=0, ensure_ascii=False) + "\n"


def read_subset(path: Path, index: FolderIndex) -> tuple[Tensor, Tensor]:
    """Return the indices of the images that a file list names, in its order.

    Raises:
        NasError: if the file cannot be read or does not fit the images.
    """
    option = f"dataset.subset={path}"
    try:
        content = read_json(path)
    except FileNotFoundError:
        raise NasError(f"{option}: file not found ({path.absolute()}). {_FIX}") from None
    except (OSError, ValueError) as error:
        raise NasError(f"{option}: cannot be read ({one_line(error)}). {_FIX}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise NasError(f"{option}: not a file list of a subset (its format is not '{FORMAT}'). {_FIX}")
    numbers = {file: number for number, file in enumerate(index.files)}
    train, val = (_parse_files(content.get(key), key, numbers, option, index.root) for key in ("train", "valid"))
    both = sorted(set(train) & set(val))
    if both:
        raise NasError(f"{option}: lists {index.files[both[0]]} for both the weights and the architecture. {_FIX}")
    return torch.tensor(train, dtype=torch.int64), torch.tensor(val, dtype=torch.int64)


def _parse_files(entry: Any, key: str, numbers: dict[str, int], option: str, root: Path) -> list[int]:
    if not isinstance(entry, list) or not entry:
        raise NasError(f"{option}: lists no files under '{key}'. {_FIX}")
    unknown = next((file for file in entry if not isinstance(file, str) or file not in numbers), None)
    if unknown is not None:
        raise NasError(f"{option}: lists {unknown}, which is not in {root}. {_FIX}")
    indices = [numbers[file] for file in entry]
    if len(set(indices)) < len(indices):
        raise NasError(f"{option}: lists a file twice under '{key}'. {_FIX}")
    return indices


def _exact(fraction: float) -> Fraction:
    """Return the decimal as written, so that 0.29 of 100 images are 29 and not 28."""
    return Fraction(str(fraction))
