"""HW-NAS-Bench (Li et al., ICLR 2021): latency and energy of all NAS-Bench-201 cells on six devices.

A converted file has one row per cell: ``architecture`` and the columns ``DATASET/METRIC``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from nas.architecture.cell import Genotype
from nas.benchmarks import checksum
from nas.benchmarks.benchmark_spaces import BENCHMARK_SPACES
from nas.benchmarks.descriptions import benchmark_directories
from nas.benchmarks.parquet_schema import ARCHITECTURE
from nas.benchmarks.parquet_table import open_parquet
from nas.benchmarks.safe_unpickle import READ_ERRORS, StreamingUnpickler
from nas.spaces.nas_bench_201.notation import NOTATION
from nas.spaces.resolve_genotype import GivenGenotype, resolve_genotype
from nas.utils.errors import NasError, one_line, unknown
from nas.utils.user_path import user_path

RELEASE = "HW-NAS-Bench-v1_0"
FORMAT, VERSION = "nas-hardware-costs", "1"
SPACE = BENCHMARK_SPACES[NOTATION]
DATASETS: Mapping[str, str] = {"cifar10": "cifar10", "cifar100": "cifar100", "ImageNet16-120": "imagenet16_120"}
"""Data set of this project, by its name in the published file."""
UNITS: Mapping[str, str] = {
    **dict.fromkeys(
        ("edgegpu_latency", "raspi4_latency", "edgetpu_latency", "pixel3_latency", "eyeriss_latency", "fpga_latency"),
        "ms",
    ),
    **dict.fromkeys(("edgegpu_energy", "eyeriss_energy", "fpga_energy"), "mJ"),
    "eyeriss_arithmetic_intensity": "operations per byte",
}
"""Unit of each metric."""
PREFIX = "hw_nas_bench."
"""Beginning of the names of costs."""


class HardwareTable:
    """Stored latencies and energies of NAS-Bench-201 cells.

    Each data set was measured in a separate session: compare cells on one data set only. Raises NasError for a
    damaged file, and for any other file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = user_path(path)
        self._file = open_parquet(self.path)
        checksum.verify(self.path, checksum.stored_checksum(self._file))
        if not _is_hardware(self._file):
            raise NasError(f"{path} is not a converted {RELEASE}. Run python -m nas convert {RELEASE}.pickle DEST.")
        names = self._file.read(columns=[ARCHITECTURE], use_threads=False)[ARCHITECTURE].to_pylist()
        self._rows = {name: row for row, name in enumerate(names)}
        self._values: dict[tuple[str, str], NDArray[np.float64]] = {}
        self._stored = [tuple(name.split("/")) for name in self._file.schema_arrow.names if "/" in name]

    def __len__(self) -> int:
        """Return the number of cells."""
        return len(self._rows)

    def values(self, dataset: str, metric: str) -> NDArray[np.float64]:
        """Return a metric of all cells [rows]. Raise NasError if it is not stored."""
        if (dataset, metric) not in self._stored:
            if dataset not in {name for name, _ in self._stored}:
                raise unknown("dataset of HW-NAS-Bench", dataset, {name for name, _ in self._stored})
            raise unknown("metric of HW-NAS-Bench", metric, [name for data, name in self._stored if data == dataset])
        if (dataset, metric) not in self._values:
            column = f"{dataset}/{metric}"
            self._values[dataset, metric] = self._file.read(columns=[column], use_threads=False)[column].to_numpy()
        return self._values[dataset, metric]

    def has(self, genotype: Genotype) -> bool:
        """Return whether a cell is stored. Raise NasError for a genotype of another space."""
        return SPACE.native(genotype) in self._rows

    def value(self, genotype: GivenGenotype, dataset: str, metric: str) -> float:
        """Return a metric of a cell in the unit of ``UNITS``. Raise NasError if it is not stored."""
        name = SPACE.native(resolve_genotype(genotype, _from_index))
        if name not in self._rows:
            raise NasError(f"{self.path} does not contain {name}. Convert the complete file.")
        return float(self.values(dataset, metric)[self._rows[name]])


class HardwareCost:
    """One metric of one data set as the cost of a genotype. Implements ``GenotypeCost``.

    Its name is ``PREFIX`` and the name of the metric.

    Args:
        table: the measurements.
        dataset: cifar10, cifar100 or imagenet16_120.
        metric: key of ``UNITS``.

    Raises:
        NasError: if the table does not contain the metric.
    """

    def __init__(self, table: HardwareTable, dataset: str, metric: str) -> None:
        table.values(dataset, metric)
        self.name, self.unit = f"{PREFIX}{metric}", UNITS[metric]
        self._table, self._dataset, self._metric = table, dataset, metric

    def __call__(self, genotype: Genotype) -> float:
        return self._table.value(genotype, self._dataset, self._metric)


def find_hardware_table(root: str | Path) -> HardwareTable | None:
    """Return the converted HW-NAS-Bench in a data directory, None if there is none."""
    for directory in benchmark_directories(root, NOTATION):
        for path in sorted(directory.glob("*.parquet")):
            try:
                is_hardware = _is_hardware(open_parquet(path))
            except NasError:  # not a table of HW-NAS-Bench
                continue
            if is_hardware:
                return HardwareTable(path)
    return None


def read_release(source: Path, partial: bool, progress: Callable[[int, int], None]) -> tuple[pa.Table, str]:
    """Return the published pickle as a table, and a description; no code of the pickle is run.

    Args:
        source: the file.
        partial: accept missing cells.
        progress: receives the number of data sets that were read and their total.

    Raises:
        NasError: if the file is damaged, incomplete or of another layout.
    """
    try:
        with source.open("rb") as file:
            content: Any = StreamingUnpickler(file, str(source)).load()
        cells = content["nasbench201"]
        names = [config["arch_str"] for config in cells["cifar10"]["config"]]
        columns: dict[str, pa.Array] = {ARCHITECTURE: pa.array(names, pa.string())}
        for number, (theirs, dataset) in enumerate(DATASETS.items(), 1):
            if [config["arch_str"] for config in cells[theirs]["config"]] != names:
                raise ValueError("its data sets have different architectures")
            for metric in UNITS:
                columns[f"{dataset}/{metric}"] = pa.array(_checked(cells[theirs][metric], len(names), metric))
            progress(number, len(DATASETS))
    except NasError:
        raise
    except READ_ERRORS as error:
        raise NasError(
            f"{source} is damaged or of another format ({one_line(error) or type(error).__name__}). Download it again."
        ) from None
    missing = SPACE.size - len(set(names) & set(SPACE.all_native()))
    if len(set(names)) != len(names):
        raise NasError(f"{source} lists a cell twice. Download it again.")
    if missing and not partial:
        raise NasError(
            f"{source} lacks {missing:,} of the {SPACE.size:,} cells of {SPACE.title}. Download it again, or add "
            "--partial."
        )
    metadata = {"format": FORMAT, "version": VERSION, "notation": NOTATION, "source": RELEASE}
    described = f"{len(UNITS)} metrics of {len(names):,} cells of {SPACE.title} on {len(DATASETS)} data sets"
    return pa.table(columns).replace_schema_metadata(metadata), described


def _checked(values: Any, count: int, metric: str) -> NDArray[np.float64]:
    array = np.array([float(value) for value in values])
    if len(array) != count or not all(math.isfinite(value) and value >= 0 for value in array.tolist()):
        raise ValueError(f"{metric} has wrong numbers")
    return array


def _is_hardware(file: pq.ParquetFile) -> bool:
    metadata = file.schema_arrow.metadata or {}
    return (metadata.get(b"format"), metadata.get(b"version")) == (FORMAT.encode(), VERSION.encode())


def _from_index(index: int) -> Genotype:
    raise NasError(f"index={index}: give a genotype or an architecture string.")
