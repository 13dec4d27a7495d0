"""Benchmark in a Parquet file; each column is read at its first use."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Protocol, overload

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nas.architecture.cell import CellGenotype, Genotype
from nas.benchmarks.benchmark import Seed, TabularBenchmark, Values
from nas.benchmarks.stored_columns import (
    StoredColumns,
    describe_seeds,
    describe_training,
    mean_over_seeds,
    quote_digits,
)
from nas.benchmarks.value_ranges import PERCENT, check_values
from nas.spaces.notation import native_string, parse_genotype
from nas.spaces.resolve_genotype import GivenGenotype
from nas.utils.errors import NasError, unknown
from nas.utils.ranges import NOT_NEGATIVE, Range


class TableSpace(Protocol):
    """Architectures of a table: their identity in the column of names, and their costs.

    ``title`` is the name of the space in messages, and ``datasets`` are the valid names of data sets.
    """

    @property
    def notation(self) -> str: ...

    @property
    def title(self) -> str: ...

    @property
    def size(self) -> int: ...

    @property
    def datasets(self) -> tuple[str, ...]: ...

    def native(self, genotype: Genotype) -> str | bytes:
        """Return the name of a genotype in the table. Raise NasError if it is not of the space."""

    def params_and_macs(self, genotype: Genotype, dataset: str) -> tuple[int, int]:
        """Return parameters and multiply-adds of the network of a genotype."""


def open_parquet(path: Path) -> pq.ParquetFile:
    """Open a file, mapped into memory. Raise NasError if it cannot be read."""
    try:
        file = pq.ParquetFile(path, memory_map=True)
        _ = file.schema_arrow  # parsed at first use
        return file
    except FileNotFoundError:
        raise NasError(f"benchmark: there is no file {path}") from None
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        reason = str(error).splitlines() or [type(error).__name__]
        raise NasError(f"benchmark: {path} cannot be read as Parquet ({reason[0]})") from None


class ParquetTable(TabularBenchmark):
    """Base class of the readers. A repeated query only looks up the genotype's row and a number.

    Args:
        path: file.
        file: the open file.
        space: space of the benchmark.
        stored: columns for each (dataset, split, epochs).
        index_and_name: columns of the authors' index and of the native string.
        verified: whether a checksum of the file was compared.
    """

    def __init__(
        self,
        path: Path,
        file: pq.ParquetFile,
        space: TableSpace,
        stored: Mapping[tuple[str, str, int], StoredColumns],
        index_and_name: tuple[str, str],
        verified: bool,
    ) -> None:
        self.path = path
        self.verified = verified
        self.space = space
        self.notation = space.notation
        self.stored = stored
        self._file = file
        self._index_column, name_column = index_and_name
        self._architectures: list[Any] = self._read([name_column])[name_column].to_pylist()
        self._rows = {architecture: row for row, architecture in enumerate(self._architectures)}
        if len(self._rows) != len(self._architectures):
            raise NasError(f"benchmark: {path} is damaged: an architecture occurs more than once")
        self._row_of_cells: dict[tuple[str, tuple[CellGenotype, ...]], int] = {}
        self._accuracies: dict[tuple[str, str, int, Seed], Values] = {}
        self._seconds: dict[tuple[str, int], Values] = {}
        self._latencies: dict[str, Values] = {}
        self._indices: Values | None = None

    @abstractmethod
    def _read_seconds(self, dataset: str, epochs: int) -> Values:
        """Return the values [architectures] of ``simulated_seconds``; the training is stored."""

    @abstractmethod
    def _read_latency(self, dataset: str) -> Values:
        """Return the values [architectures] of ``latency``."""

    @overload
    def accuracy(
        self, genotype: GivenGenotype, dataset: str, split: str, epochs: int, seed: Literal["each"]
    ) -> tuple[float, ...]: ...

    @overload
    def accuracy(
        self, genotype: GivenGenotype, dataset: str, split: str, epochs: int, seed: Literal["mean"] | int
    ) -> float: ...

    def accuracy(
        self, genotype: GivenGenotype, dataset: str, split: str, epochs: int, seed: Seed
    ) -> float | tuple[float, ...]:
        if seed == "each":
            return self._each_seed(self.row(genotype), dataset, split, epochs)
        column = self._accuracies.get((dataset, split, epochs, seed))
        if column is None:
            column = self.accuracies(dataset, split, epochs, seed)
        row = self.row(genotype)
        value = column.item(row)
        if math.isnan(value):
            raise self._not_stored(row, dataset, split, epochs, seed)
        return value

    def accuracies(self, dataset: str, split: str, epochs: int, seed: Seed) -> Values:
        seed = int(seed) if isinstance(seed, np.integer) else seed
        key = (dataset, split, epochs, seed)
        if key not in self._accuracies:
            columns, content = self._columns_of(dataset, split, epochs), describe_training(dataset, split, epochs)
            if seed != "mean" and (type(seed) is not int or seed not in columns.seeds):
                raise NasError(f"seed={quote_digits(seed)}: {self.path} has {describe_seeds(columns)} of {content}")
            names = (
                [columns.seeds[seed]] if seed != "mean" else [columns.mean] if columns.mean else columns.seeds.values()
            )
            allowed = self._range_of(dataset, split)
            stored = [check_values(self.column(name), allowed, content, self.path) for name in names]
            self._accuracies[key] = stored[0] if len(stored) == 1 else mean_over_seeds(stored)
        return self._accuracies[key]

    def _range_of(self, dataset: str, split: str) -> Range:
        """Return the range of the values of ``accuracies``."""
        return PERCENT

    def simulated_seconds(self, genotype: GivenGenotype, dataset: str, epochs: int) -> float:
        column = self._seconds.get((dataset, epochs))
        if column is None:
            self._columns_of(dataset, "valid", epochs)
            values, content = self._read_seconds(dataset, epochs), f"times of {dataset} after {epochs} epochs"
            column = self._seconds[dataset, epochs] = check_values(values, NOT_NEGATIVE, content, self.path)
        return self._stored_number(column, self.row(genotype), f"times of {dataset} after {epochs} epochs")

    def latency(self, genotype: GivenGenotype, dataset: str) -> float:
        self._check_dataset(dataset)
        if dataset not in self._latencies:
            values, content = self._read_latency(dataset), f"latencies on {dataset}"
            self._latencies[dataset] = check_values(values, NOT_NEGATIVE, content, self.path)
        return self._stored_number(self._latencies[dataset], self.row(genotype), f"latency on {dataset}")

    def params_and_macs(self, genotype: GivenGenotype, dataset: str) -> tuple[int, int]:
        self._check_dataset(dataset)
        return self.space.params_and_macs(self.genotype(genotype), dataset)

    def _check_dataset(self, dataset: str) -> None:
        if dataset not in self.space.datasets:
            raise unknown("dataset of the benchmark", dataset, self.space.datasets)

    def row(self, genotype: GivenGenotype) -> int:
        if not isinstance(genotype, Genotype):
            genotype = self.genotype(genotype)
        cells = genotype.space, tuple(genotype.cells.values())
        cached = self._row_of_cells.get(cells)
        if cached is not None:
            return cached
        architecture = self.space.native(genotype)
        row = self._rows.get(architecture)
        if row is None:
            raise NasError(
                f"benchmark: {native_string(genotype)} is not in {self.path}, which has {len(self):,} of the "
                f"{self.space.size:,} architectures of {self.space.title}"
            )
        self._row_of_cells[cells] = row
        return row

    def architecture(self, row: int) -> str:
        return str(self._architectures[self._checked(row)])

    def index(self, row: int) -> int:
        return int(self._all_indices()[self._checked(row)])

    def _all_indices(self) -> Values:
        if self._indices is None:
            self._indices = self.column(self._index_column)
        return self._indices

    def _checked(self, row: int) -> int:
        if not 0 <= row < len(self):
            raise NasError(f"row={row}: {self.path} has the rows 0 to {len(self) - 1}.")
        return row

    def _from_index(self, index: int) -> Genotype:
        rows = np.flatnonzero(self._all_indices() == index)
        if len(rows) != 1:
            first, last = (int(value) for value in (self._all_indices().min(), self._all_indices().max()))
            raise NasError(f"index={index}: {self.path} has the indices {first} to {last} of {self.space.title}.")
        return parse_genotype(self.architecture(int(rows[0])))

    def __len__(self) -> int:
        return len(self._architectures)

    def column(self, name: str) -> Values:
        """Return a column [architectures] as float64, null as NaN. Read-only."""
        values = self._read([name])[name].to_numpy().astype(np.float64, copy=False)
        values.setflags(write=False)
        return values

    def _read(self, names: list[str]) -> pa.Table:
        try:
            return self._file.read(columns=names, use_threads=False)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise NasError(f"benchmark: {self.path} is damaged ({str(error).splitlines()[0]})") from None

    def _columns_of(self, dataset: str, split: str, epochs: int) -> StoredColumns:
        """Return the columns of a training. Raise NasError with the stored alternatives if there are none."""
        columns = self.stored.get((dataset, split, epochs))
        if columns is not None:
            return columns
        if dataset not in {d for d, _, _ in self.stored}:
            raise unknown("dataset of the benchmark", dataset, {d for d, _, _ in self.stored})
        splits = {s for d, s, _ in self.stored if d == dataset}
        if split not in splits:
            raise unknown(f"split of {dataset}", split, splits)
        lengths = sorted(n for d, s, n in self.stored if (d, s) == (dataset, split))
        raise NasError(
            f"epochs={quote_digits(epochs)}: {self.path} has trainings of {', '.join(map(str, lengths))} epochs on "
            f"{dataset} {split}, and for each only one accuracy"
        )

    def _each_seed(self, row: int, dataset: str, split: str, epochs: int) -> tuple[float, ...]:
        columns = self._columns_of(dataset, split, epochs)
        if not columns.complete:
            raise NasError(
                f"seed=each: {self.path} has {describe_seeds(columns)} of {describe_training(dataset, split, epochs)}"
            )
        accuracies = [self.accuracies(dataset, split, epochs, seed) for seed in sorted(columns.seeds)]
        values = tuple(column.item(row) for column in accuracies if not math.isnan(column.item(row)))
        if not values:
            raise self._not_stored(row, dataset, split, epochs, "each")
        return values

    def _not_stored(self, row: int, dataset: str, split: str, epochs: int, seed: Seed) -> NasError:
        seeds = sorted(self._columns_of(dataset, split, epochs).seeds)
        others = [n for n in seeds if not math.isnan(self.accuracies(dataset, split, epochs, n).item(row))]
        have = f"; stored seeds: {', '.join(map(str, others))}" if others else ""
        of_seed = "" if seed in ("mean", "each") else f" with seed {seed}"
        return NasError(
            f"benchmark: {self.path} does not contain {describe_training(dataset, split, epochs)}{of_seed} for "
            f"{self.architecture(row)}{have}"
        )

    def _stored_number(self, column: Values, row: int, what: str) -> float:
        value = column.item(row)
        if math.isnan(value):
            raise NasError(f"benchmark: {self.path} does not contain {what} for {self.architecture(row)}")
        return value
