"""Made-up measurements in the layout of HW-NAS-Bench."""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from nas.benchmarks.convert import convert
from nas.benchmarks.hw_nas_bench import DATASETS, UNITS

SOURCE = "HW-NAS-Bench-v1_0.pickle"


def value_of(name: str, dataset: str, metric: str) -> float:
    """Return a value that depends only on the arguments."""
    return 0.1 + zlib.crc32(f"{name} {dataset} {metric}".encode()) / 2**32 * 50.0


def content(names: list[str], value: Callable[[str, str, str], float] = value_of) -> dict[str, Any]:
    """Return measurements in the layout of the published file; some are numpy scalars."""
    cells: dict[str, Any] = {}
    for theirs, dataset in DATASETS.items():
        cells[theirs] = {m: [value(name, dataset, m) for name in names] for m in UNITS}
        for values in cells[theirs].values():
            values[:9] = map(np.float64, values[:9])
        cells[theirs]["config"] = [{"name": "infer.tiny", "C": 16, "N": 5, "arch_str": name} for name in names]
    return {"nasbench201": cells, "fbnet": {"edgegpu_latency": {"ConvBlock_H1": 0.5}}}


def write_table(
    directory: Path, names: list[str], value: Callable[[str, str, str], float] = value_of, partial: bool = False
) -> Path:
    """Write a converted file into a directory, and return its path."""
    (directory / SOURCE).write_bytes(pickle.dumps(content(names, value)))
    convert(directory / SOURCE, directory / "hw_nas_bench.parquet", partial=partial)
    return directory / "hw_nas_bench.parquet"
