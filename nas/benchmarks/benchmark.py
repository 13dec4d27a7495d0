"""Interfaces of benchmarks: any benchmark, and tables that store all architectures."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Literal, Protocol, overload

import numpy as np
from numpy.typing import NDArray

from nas.architecture.cell import Genotype
from nas.benchmarks.benchmark_spaces import BENCHMARK_SPACES
from nas.spaces.base import Space
from nas.spaces.resolve_genotype import GivenGenotype, resolve_genotype
from nas.utils.errors import NasError

Seed = Literal["mean", "each"] | int
Values = NDArray[np.float64]


class Benchmark(Protocol):
    """Accuracies of the genotypes of a space, trained from scratch by one protocol: stored, or predicted.

    Data sets, splits and lengths of trainings are listed in its ``Description``. ``epochs`` is the length of a training
    with its own schedule. Accuracies are measured after its last epoch. If ``Description.best_epoch`` is set, they are
    measured after the epoch with the best validation accuracy. A query takes a ``Genotype`` or an architecture string.
    """

    notation: str
    """Notation of the space."""
    path: Path
    """File of the benchmark."""
    verified: bool
    """True if a checksum of the file was compared."""

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
        """Return the accuracy in percent.

        Args:
            genotype: the architecture.
            dataset: name of the data set.
            split: split on which the accuracy is measured.
            epochs: length of the training.
            seed: "mean": mean over the seeds. "each": one value per seed. A number: the value of that seed. The seeds
                of predictions are the models of the ensemble.

        Raises:
            NasError: if the benchmark does not contain it, with the available alternatives, or the genotype is not of
                the space.
        """

    def sample_accuracy(
        self, genotype: GivenGenotype, dataset: str, split: str, epochs: int, rng: random.Random
    ) -> float:
        """Return the accuracy in percent of one training, sampled at random. Raises NasError like ``accuracy``.

        Args:
            genotype, dataset, split, epochs: see ``accuracy``.
            rng: source of the random seed or, for predictions, of the noise.
        """

    def simulated_seconds(self, genotype: GivenGenotype, dataset: str, epochs: int) -> float:
        """Return the seconds of a training of ``epochs`` epochs and one validation pass after it.

        On CIFAR-10 it is the training on the images without the validation images. Raises NasError like ``accuracy``.
        """

    def check(self, dataset: str, split: str, epochs: int, seed: Seed) -> None:
        """Raise NasError with the available alternatives if no architecture has such accuracies."""

    def check_space(self, space: Space) -> None:
        """Raise NasError if the benchmark does not contain all genotypes of a space."""

    def report_epochs(self, dataset: str) -> int:
        """Return the length of the trainings that papers report. Raise NasError if the data set is not stored."""

    def best_accuracy(self, dataset: str, split: str, epochs: int, space: Space | None = None) -> float | None:
        """Return the highest accuracy of a space, or of all architectures, averaged over seeds; None if unknown."""

    def genotype(self, given: GivenGenotype) -> Genotype:
        """Return the genotype of a string, an index or a value. Raise NasError if it is none, or not stored."""


class TabularBenchmark(ABC):
    """Stored accuracies of all architectures of a finite space. Implements ``Benchmark``.

    On NAS-Bench-201 and the NATS-Bench size space, data sets are cifar10, cifar100 and imagenet16_120. Splits are
    ``valid`` and ``test``. A benchmark may also store ``train``, ``valtest`` (the images of both) and, for CIFAR-10,
    ``test_of_valid_run`` and ``train_of_valid_run``. On CIFAR-10, ``valid`` belongs to networks trained on half of the
    training images, ``test`` to networks trained on all of them. A query also takes the authors' index of an
    architecture.
    """

    notation: str
    path: Path
    verified = True

    @overload
    def accuracy(
        self, genotype: GivenGenotype, dataset: str, split: str, epochs: int, seed: Literal["each"]
    ) -> tuple[float, ...]: ...

    @overload
    def accuracy(
        self, genotype: GivenGenotype, dataset: str, split: str, epochs: int, seed: Literal["mean"] | int
    ) -> float: ...

    @abstractmethod
    def accuracy(
        self, genotype: GivenGenotype, dataset: str, split: str, epochs: int, seed: Seed
    ) -> float | tuple[float, ...]: ...

    @abstractmethod
    def simulated_seconds(self, genotype: GivenGenotype, dataset: str, epochs: int) -> float: ...

    @abstractmethod
    def accuracies(self, dataset: str, split: str, epochs: int, seed: Literal["mean"] | int) -> Values:
        """Return the accuracies of all architectures [rows] in percent; NaN if not stored. Read-only."""

    @abstractmethod
    def latency(self, genotype: GivenGenotype, dataset: str) -> float:
        """Return the seconds of one forward pass, as measured by the benchmark's authors."""

    @abstractmethod
    def params_and_macs(self, genotype: GivenGenotype, dataset: str) -> tuple[int, int]:
        """Return parameters and multiply-adds of the network in closed form; stored figures differ between seeds."""

    @abstractmethod
    def row(self, genotype: GivenGenotype) -> int:
        """Return the row of a genotype in ``accuracies``. Raise NasError if it is not stored or not of the space."""

    @abstractmethod
    def architecture(self, row: int) -> str:
        """Return the native string of a row."""

    @abstractmethod
    def index(self, row: int) -> int:
        """Return the authors' index of the architecture of a row."""

    def report_epochs(self, dataset: str) -> int:
        return BENCHMARK_SPACES[self.notation].epochs

    def check(self, dataset: str, split: str, epochs: int, seed: Seed) -> None:
        self.accuracies(dataset, split, epochs, "mean" if seed == "each" else seed)

    def check_space(self, space: Space) -> None:
        self.rows(space)

    def rows(self, space: Space) -> NDArray[np.int64]:
        """Return the rows [genotypes] of all genotypes of a space. Raise NasError if one is not stored."""
        whole = BENCHMARK_SPACES[self.notation]
        if len(self) == whole.size and all(set(cell.ops) == set(whole.ops) for cell in space.cells.values()):
            return np.arange(len(self))
        return np.array([self.row(genotype) for genotype in map(space.from_index, range(space.size or 0))])

    def best_accuracy(self, dataset: str, split: str, epochs: int, space: Space | None = None) -> float | None:
        column = self.accuracies(dataset, split, epochs, "mean")
        if space is not None:
            try:
                column = column[self.rows(space)]
            except NasError:
                return None
        return None if np.isnan(column).all() else float(np.nanmax(column))

    def sample_accuracy(
        self, genotype: GivenGenotype, dataset: str, split: str, epochs: int, rng: random.Random
    ) -> float:
        return rng.choice(self.accuracy(genotype, dataset, split, epochs, "each"))

    def genotype(self, given: GivenGenotype) -> Genotype:
        return resolve_genotype(given, self._from_index)

    def _from_index(self, index: int) -> Genotype:
        for row in range(len(self)):
            if self.index(row) == index:
                return resolve_genotype(self.architecture(row), self._from_index)
        raise NasError(f"index={index}: the benchmark has {len(self):,} architectures, none of this index.")

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of stored architectures."""
