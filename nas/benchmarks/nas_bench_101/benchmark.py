"""NAS-Bench-101 (Ying et al., ICML 2019) in a converted file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from nas.architecture.cell import Genotype
from nas.benchmarks import checksum
from nas.benchmarks.benchmark import Values
from nas.benchmarks.nas_bench_101.convert import (
    HASH,
    IMAGES,
    LABELS,
    MATRIX,
    PARAMETERS,
    SECONDS,
    SIZE,
    SPLITS,
    VERSION,
    decode_graph,
)
from nas.benchmarks.parquet_table import ParquetTable
from nas.benchmarks.stored_columns import StoredColumns, mean_over_seeds
from nas.spaces.base import Space
from nas.spaces.nas_bench_1shot1 import notation as nas_bench_1shot1
from nas.spaces.nas_bench_1shot1.space import NasBench1Shot1
from nas.spaces.nas_bench_1shot1.subspaces import distinct_hashes
from nas.spaces.nas_bench_101.graph import MAX_EDGES, MAX_VERTICES, find_problem, graph_hash, prune
from nas.spaces.nas_bench_101.notation import NOTATION, format_graph, to_graph
from nas.spaces.registry import space_of
from nas.utils.errors import NasError

DATASET, REPORT_EPOCHS = "cifar10", 108


class _Cells:
    """Names and sizes of the cells for ``ParquetTable``: the hash of a pruned cell identifies it."""

    notation = NOTATION
    title = "NAS-Bench-101"
    size = SIZE
    datasets = (DATASET,)

    def native(self, genotype: Genotype) -> bytes:
        """Return the hash of a genotype. Raise NasError if it is not of the space."""
        graph = (
            nas_bench_1shot1.to_graph(genotype) if genotype.space == nas_bench_1shot1.NOTATION else to_graph(genotype)
        )
        pruned, problem = prune(graph), find_problem(graph)
        if pruned is None or problem is not None:
            raise NasError(
                f"benchmark: {format_graph(graph)} is not in NAS-Bench-101: {problem}. Use a cell whose input and "
                f"output are connected, with at most {MAX_VERTICES} vertices and {MAX_EDGES} edges."
            )
        return bytes.fromhex(graph_hash(pruned))

    def params_and_macs(self, genotype: Genotype, dataset: str) -> tuple[int, int]:
        """Return parameters and multiply-adds of the benchmark's network."""
        return space_of(genotype, (3, 32, 32), 10).count(genotype)


class NasBench101(ParquetTable):
    """Benchmark in a file written by ``python -m nas convert``: CIFAR-10, trained on 40,000 images.

    Lengths are 4, 12, 36 and 108 epochs, or 108 alone. Seeds are the repeats 0 to 2. Splits are ``valid`` and ``test``
    with 10,000 images each, and ``train`` with 10,000 of the training images. Raises NasError for a damaged file, and
    for any other file.
    """

    def __init__(self, path: str | Path, file: pq.ParquetFile) -> None:
        path = Path(path)
        checksum.verify(path, checksum.stored_checksum(file))
        if file.schema_arrow.metadata.get(b"version") != VERSION.encode():
            raise NasError(f"benchmark: {path} is of another version than {VERSION}. Convert the benchmark again.")
        super().__init__(path, file, _Cells(), _stored_columns(file.schema_arrow.names), ("", HASH), True)
        self._graphs: tuple[Values, Values] | None = None
        self._rows_of_subspace: dict[int, NDArray[np.int64]] = {}

    def column(self, name: str) -> Values:
        values = super().column(name)
        if name.rpartition("/")[2] in SPLITS:
            values = values * (100 / IMAGES)
            values.setflags(write=False)
        return values

    def stored_parameters(self, genotype: Any) -> int:
        """Return the stored number of parameters of a genotype."""
        return int(self.column(PARAMETERS)[self.row(genotype)])

    def report_epochs(self, dataset: str) -> int:
        return REPORT_EPOCHS

    def rows(self, space: Space) -> NDArray[np.int64]:
        """Return the rows of all cells of a space, each once. Raise NasError if one is not stored."""
        if isinstance(space, NasBench1Shot1):
            if space.subspace not in self._rows_of_subspace:
                self._rows_of_subspace[space.subspace] = self._find_rows(space)
            return self._rows_of_subspace[space.subspace]
        if len(self) < self.space.size:
            raise self._incomplete(len(self), self.space.size, space)
        return np.arange(len(self))

    def _find_rows(self, space: NasBench1Shot1) -> NDArray[np.int64]:
        names = distinct_hashes(space.subspace)
        rows = [self._rows[name] for name in map(bytes.fromhex, names) if name in self._rows]
        if len(rows) < len(names):
            raise self._incomplete(len(rows), len(names), space)
        return np.array(rows)

    def _incomplete(self, stored: int, size: int, space: Space) -> NasError:
        return NasError(
            f"benchmark: {self.path} has {stored:,} of the {size:,} cells of space={space.name}, and a search may "
            "query any of them. Convert the complete file, without --partial."
        )

    def architecture(self, row: int) -> str:
        if self._graphs is None:
            self._graphs = self.column(MATRIX), self.column(LABELS)
        matrix, labels = (int(column[self._checked(row)]) for column in self._graphs)
        return format_graph(decode_graph(matrix, labels))

    def _all_indices(self) -> Values:
        return np.arange(len(self), dtype=np.float64)

    def _read_seconds(self, dataset: str, epochs: int) -> Values:
        """Return the mean seconds of the repeats; the benchmark counts no validation pass."""
        repeats = self.stored[dataset, "valid", epochs].seeds
        return mean_over_seeds([self.column(f"{epochs}/{seed}/{SECONDS}") for seed in repeats])

    def _read_latency(self, dataset: str) -> Values:
        return np.full(len(self), np.nan)


def _stored_columns(names: list[str]) -> Mapping[tuple[str, str, int], StoredColumns]:
    columns: dict[tuple[str, str, int], dict[int, str]] = {}
    for name in names:
        epochs, _, rest = name.partition("/")
        repeat, _, split = rest.partition("/")
        if split in SPLITS:
            columns.setdefault((DATASET, split, int(epochs)), {})[int(repeat)] = name
    return {key: StoredColumns(seeds) for key, seeds in columns.items()}
