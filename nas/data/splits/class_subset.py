"""A part of each class for the weights and another for the architecture, and the list of files that says which."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from nas.data.pipeline.loader import derive_seed
from nas.data.splits.folder_index import FolderIndex
from nas.utils.errors import NasError, one_line

FORMAT = "nas-subset"


def choose(index: FolderIndex, fractions: Sequence[float], seed: int) -> tuple[Tensor, Tensor]:
    """Indices (int64, in order) of ``fractions[0]`` of each class's images, and of ``fractions[1]`` of others of it.

    PC-DARTS and DrNAS search on 10 % and 2.5 % of ImageNet; no list of theirs is published. What a class gives depends
    on ``seed``, its name and the number of its images alone. Fractions are rounded down, but to at least one image.

    Raises:
        NasError: if the fractions are no two positive numbers of sum at most 1, or a class has too few images.
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
        wanted = [max(1, int(_exact(fraction) * count)) for fraction in fractions]
        if sum(wanted) > count:
            raise NasError(f"class '{name}' has {count} image(s) in {index.root}: it takes {sum(wanted)} to share out")
        order = torch.randperm(count, generator=Generator().manual_seed(derive_seed(seed, name))) + first
        for part, chosen in zip(parts, order[: sum(wanted)].split(wanted), strict=True):
            part.append(chosen.sort().values)
        first += count
    return torch.cat(parts[0]), torch.cat(parts[1])


def to_text(index: FolderIndex, train: Tensor, val: Tensor) -> str:
    """The file list of a subset: JSON with the names CLASS/FILE for the weights and for the architecture."""
    lists = {key: [index.files[i] for i in part.tolist()] for key, part in (("train", train), ("valid", val))}
    return json.dumps({"format": FORMAT, "version": 1, **lists}, indent=0, ensure_ascii=False) + "\n"


def read(path: Path, index: FolderIndex) -> tuple[Tensor, Tensor]:
    """The indices that a file list names, in its order. Raises NasError for one that does not fit the images."""
    wanted = "give the subset.json of a search on these images"
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        raise NasError(f"no file list at {path.absolute()}: {wanted}, or leave dataset.subset out") from None
    except (OSError, ValueError) as error:
        raise NasError(f"cannot read the file list {path}: {one_line(error)}; {wanted}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise NasError(f"{path} is no file list of a subset (its format is not '{FORMAT}'): {wanted}")
    numbers = {file: number for number, file in enumerate(index.files)}
    train, val = (_numbers(content.get(key), key, numbers, path, index.root) for key in ("train", "valid"))
    both = sorted(set(train) & set(val))
    if both:
        raise NasError(f"the file list {path} has {index.files[both[0]]} for the weights and for the architecture")
    return torch.tensor(train, dtype=torch.int64), torch.tensor(val, dtype=torch.int64)


def _numbers(entry: Any, key: str, numbers: dict[str, int], path: Path, root: Path) -> list[int]:
    if not isinstance(entry, list) or not entry:
        raise NasError(f"the file list {path} has no files under '{key}'")
    unknown = next((file for file in entry if not isinstance(file, str) or file not in numbers), None)
    if unknown is not None:
        raise NasError(f"the file list {path} names {unknown}, which is not in {root}")
    found = [numbers[file] for file in entry]
    if len(set(found)) < len(found):
        raise NasError(f"the file list {path} names a file twice under '{key}'")
    return found


def _exact(fraction: float) -> Fraction:
    """The decimal that was written: 0.29 of 100 images are 29, not 28."""
    return Fraction(str(fraction))
