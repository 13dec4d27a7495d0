"""Comparison of two run directories, without the figures that measure time or the machine."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet
import torch
from torch import Tensor

MEASURED = re.compile(
    r"second|time|spent|memory|command|commit|version|device|path|dir|file|weights$|output", re.IGNORECASE
)
"""Names of values that differ between two equal runs."""
IGNORED = re.compile(
    r"(^|/)(\.hydra/|\.lock|[^/]*\.(log|png|svg|html|lock|txt)$|tensorboard|wandb)|^checkpoints/(?!last)"
)
CHECKPOINT = ("epoch", "global_step", "state_dict", "optimizer_states", "lr_schedulers")


def differences(first: Path, second: Path) -> list[str]:
    """Return the differences between the files of two runs, a line each."""
    names, others = _files(first), _files(second)
    found = [f"{name} is in one run only" for name in sorted(names ^ others)]
    for name in sorted(names & others):
        found += [f"{name}: {line}" for line in _compare(_content(first / name), _content(second / name), "")][:3]
    return found


def _files(directory: Path) -> set[str]:
    names = {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}
    return {name for name in names if not IGNORED.search(name)}


def _content(path: Path) -> Any:
    if path.suffix == ".json":
        return json.loads(path.read_text())
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    if path.suffix == ".csv":
        with path.open(newline="") as file:
            return [row for row in csv.DictReader(file) if not MEASURED.search(row.get("name") or "")]
    if path.suffix == ".parquet":
        return pyarrow.parquet.read_table(path).to_pydict()
    if path.suffix == ".ckpt":
        checkpoint = torch.load(path, weights_only=True, map_location="cpu")
        return {key: checkpoint[key] for key in CHECKPOINT}
    if path.suffix == ".pt":
        return torch.load(path, weights_only=True, map_location="cpu")
    return path.read_bytes()


def _compare(first: Any, second: Any, place: str) -> Iterator[str]:
    if type(first) is not type(second):
        yield f"{place}: {first!r:.60} and {second!r:.60}"
    elif isinstance(first, Tensor):
        if first.shape != second.shape or not torch.equal(first, second):
            yield f"{place}: tensors differ"
    elif isinstance(first, dict):
        names, others = ([str(key) for key in value if not MEASURED.search(str(key))] for value in (first, second))
        if names != others:
            yield f"{place}: keys {sorted(set(names) ^ set(others)) or 'in another order'}"
            return
        for key in first:
            if not MEASURED.search(str(key)):
                yield from _compare(first[key], second[key], f"{place}.{key}")
    elif isinstance(first, list | tuple):
        if len(first) != len(second):
            yield f"{place}: {len(first)} and {len(second)} entries"
            return
        for index, (one, other) in enumerate(zip(first, second, strict=True)):
            yield from _compare(one, other, f"{place}[{index}]")
    elif first != second and not (first != first and second != second):
        yield f"{place}: {first!r:.60} and {second!r:.60}"
