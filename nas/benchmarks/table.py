"""A benchmark in a Parquet file, of which a column is read when it is first asked for."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, overload

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nas.architecture.cell import CellGenotype, Genotype
from nas.benchmarks.benchmark import Benchmark, Seed, Values
from nas.benchmarks.kinds import DATASETS, Kind
from nas.utils.errors import NasError, unknown


@dataclass(frozen=True)
class Held:
    """The columns of one (dataset, split, epochs): of each seed that is told apart, of the mean where it is stored.

    ``every`` says whether these are all the seeds there were.
    """

    seeds: Mapping[int, str]
    mean: str | None = None
    every: bool = True


def open_parquet(path: Path) -> pq.ParquetFile:
    """The file, mapped into memory. Raises NasError where it cannot be read."""
    try:
        return pq.ParquetFile(path, memory_map=True)
    except FileNotFoundError:
        raise NasError(f"benchmark: there is no file {path}") from None
    except (pa.ArrowException, OSError) as error:
        raise NasError(f"benchmark: {path} cannot be read as Parquet ({str(error).splitlines()[0]})") from None


class Table(Benchmark):
    """What the tables have in common. A query that was asked before is a look-up of the genotype and of a number."""

    def __init__(
        self,
        path: Path,
        file: pq.ParquetFile,
        kind: Kind,
        held: Mapping[tuple[str, str, int], Held],
        names: tuple[str, str],
    ) -> None:
        self.path = path
        self.kind = kind
        self.notation = kind.notation
        self.held = held
        self._file = file
        self._index_name, name = names
        self._architectures: list[str] = self._read([name])[name].to_pylist()
        self._rows = {architecture: row for row, architecture in enumerate(self._architectures)}
        if len(self._rows) != len(self._architectures):
            raise NasError(f"benchmark: {path} is damaged: an architecture stands in it more than once")
        self._known: dict[CellGenotype, int] = {}
        self._columns: dict[tuple[str, str, int, Seed], Values] = {}
        self._timed: dict[tuple[str, int], Values] = {}
        self._latencies: dict[str, Values] = {}
        self._numbers: Values | None = None

    @abstractmethod
    def _seconds(self, dataset: str, epochs: int) -> Values:
        """[architectures] The values of ``seconds``; dataset and epochs are held."""

    @abstractmethod
    def _latency(self, dataset: str) -> Values:
        """[architectures] The values of ``latency``."""

    @overload
    def accuracy(
        self, genotype: Genotype, dataset: str, split: str, epochs: int, seed: Literal["each"]
    ) -> tuple[float, ...]: ...

    @overload
    def accuracy(
        self, genotype: Genotype, dataset: str, split: str, epochs: int, seed: Literal["mean"] | int
    ) -> float: ...

    def accuracy(
        self, genotype: Genotype, dataset: str, split: str, epochs: int, seed: Seed
    ) -> float | tuple[float, ...]:
        if seed == "each":
            return self._each(self.row(genotype), dataset, split, epochs)
        column = self._columns.get((dataset, split, epochs, seed))
        if column is None:
            column = self.values(dataset, split, epochs, seed)
        row = self.row(genotype)
        value = column.item(row)
        if math.isnan(value):
            raise self._missing(row, dataset, split, epochs, seed)
        return value

    def values(self, dataset: str, split: str, epochs: int, seed: Seed) -> Values:
        seed = int(seed) if isinstance(seed, np.integer) else seed
        key = (dataset, split, epochs, seed)
        if key not in self._columns:
            held = self._held(dataset, split, epochs)
            if seed != "mean" and (type(seed) is not int or seed not in held.seeds):
                raise NasError(
                    f"seed={_quoted(seed)}: of {_words(dataset, split, epochs)} {self.path} has {_seeds(held)}"
                )
            self._columns[key] = self._mean(held) if seed == "mean" else self.column(held.seeds[seed])
        return self._columns[key]

    def seconds(self, genotype: Genotype, dataset: str, epochs: int) -> float:
        column = self._timed.get((dataset, epochs))
        if column is None:
            self._held(dataset, "valid", epochs)
            column = self._timed[dataset, epochs] = self._seconds(dataset, epochs)
        return self._known_number(column, self.row(genotype), f"times of {dataset} after {epochs} epochs")

    def latency(self, genotype: Genotype, dataset: str) -> float:
        if dataset not in DATASETS:
            raise unknown("dataset of the benchmark", dataset, DATASETS)
        if dataset not in self._latencies:
            self._latencies[dataset] = self._latency(dataset)
        return self._known_number(self._latencies[dataset], self.row(genotype), f"latency on {dataset}")

    def cost(self, genotype: Genotype, dataset: str) -> tuple[int, int]:
        if dataset not in DATASETS:
            raise unknown("dataset of the benchmark", dataset, DATASETS)
        return self.kind.count(self.kind.choice(genotype), *DATASETS[dataset])

    def row(self, genotype: Genotype) -> int:
        if genotype.space == self.notation and len(genotype.cells) == 1:
            (cell,) = genotype.cells.values()
            known = self._known.get(cell)
            if known is not None:
                return known
        architecture = self.kind.native(genotype)
        row = self._rows.get(architecture)
        if row is None:
            raise NasError(
                f"benchmark: {architecture} is not in {self.path}, which holds {len(self):,} of the "
                f"{self.kind.size:,} architectures of {self.kind.title}"
            )
        self._known[cell] = row
        return row

    def architecture(self, row: int) -> str:
        return self._architectures[row]

    def index(self, row: int) -> int:
        if self._numbers is None:
            self._numbers = self.column(self._index_name)
        return int(self._numbers[row])

    def __len__(self) -> int:
        return len(self._architectures)

    def column(self, name: str) -> Values:
        """[architectures] A column as float64, null as NaN. Read-only."""
        values = self._read([name])[name].to_numpy().astype(np.float64, copy=False)
        values.setflags(write=False)
        return values

    def _read(self, names: list[str]) -> pa.Table:
        try:
            return self._file.read(columns=names, use_threads=False)
        except (pa.ArrowException, OSError) as error:
            raise NasError(f"benchmark: {self.path} is damaged ({str(error).splitlines()[0]})") from None

    def _held(self, dataset: str, split: str, epochs: int) -> Held:
        """Raises NasError for what is not there, saying what is."""
        found = self.held.get((dataset, split, epochs))
        if found is not None:
            return found
        if dataset not in {d for d, _, _ in self.held}:
            raise unknown("dataset of the benchmark", dataset, {d for d, _, _ in self.held})
        splits = {s for d, s, _ in self.held if d == dataset}
        if split not in splits:
            raise unknown(f"split of {dataset}", split, splits)
        lengths = sorted(n for d, s, n in self.held if (d, s) == (dataset, split))
        raise NasError(
            f"epochs={_quoted(epochs)}: of {dataset} {split} {self.path} has trainings of "
            f"{', '.join(map(str, lengths))} epochs, and of each what its last epoch gave"
        )

    def _mean(self, held: Held) -> Values:
        if held.mean is not None:
            return self.column(held.mean)
        columns = np.stack([self.column(name) for name in held.seeds.values()])
        there = ~np.isnan(columns)
        count = there.sum(axis=0)
        total = np.where(there, columns, 0.0).sum(axis=0)
        mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
        mean.setflags(write=False)
        return mean

    def _each(self, row: int, dataset: str, split: str, epochs: int) -> tuple[float, ...]:
        held = self._held(dataset, split, epochs)
        if not held.every:
            raise NasError(f"seed=each: of {_words(dataset, split, epochs)} {self.path} has {_seeds(held)}")
        columns = [self.values(dataset, split, epochs, seed) for seed in sorted(held.seeds)]
        values = tuple(column.item(row) for column in columns if not math.isnan(column.item(row)))
        if not values:
            raise self._missing(row, dataset, split, epochs, "each")
        return values

    def _missing(self, row: int, dataset: str, split: str, epochs: int, seed: Seed) -> NasError:
        held = self._held(dataset, split, epochs)
        others = [n for n in sorted(held.seeds) if not math.isnan(self.values(dataset, split, epochs, n).item(row))]
        have = f"; it has seeds {', '.join(map(str, others))} of it" if others else ""
        what = "" if seed in ("mean", "each") else f" with seed {seed}"
        return NasError(
            f"benchmark: {self.path} does not hold {_words(dataset, split, epochs)}{what} for {self.architecture(row)}"
            f"{have}"
        )

    def _known_number(self, column: Values, row: int, what: str) -> float:
        value = column.item(row)
        if math.isnan(value):
            raise NasError(f"benchmark: {self.path} does not hold {what} for {self.architecture(row)}")
        return value


def _quoted(value: object) -> str:
    """A value as it was given: a text of digits is no number."""
    return repr(value) if isinstance(value, str) and value.isdigit() else str(value)


def _words(dataset: str, split: str, epochs: int) -> str:
    return f"{dataset} {split} after {epochs} epochs"


def _seeds(held: Held) -> str:
    if not held.seeds:
        return "the mean over seeds alone"
    return f"the mean and {'each of ' if held.every else ''}seed {', '.join(map(str, sorted(held.seeds)))}"
