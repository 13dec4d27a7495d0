"""Interface of a tabular benchmark."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal, overload

import numpy as np
from numpy.typing import NDArray

from nas.architecture.cell import Genotype
from nas.spaces.resolve_genotype import GivenGenotype, resolve_genotype
from nas.utils.errors import NasError

Seed = Literal["mean", "each"] | int
Values = NDArray[np.float64]


class Benchmark(ABC):
    """Accuracies of the genotypes of a space, trained from scratch by one protocol.

    Data sets are cifar10, cifar100 and imagenet16_120. Splits are ``valid`` and ``test``. A benchmark may also store
    ``train``, ``valtest`` (the images of both) and, for CIFAR-10, ``test_of_valid_run`` and ``train_of_valid_run``. On
    CIFAR-10, ``valid`` belongs to networks trained on half of the training images, ``test`` to networks trained on all
    of them. ``epochs`` is the length of a training with its own schedule; accuracies are those after its last epoch.

    A query takes a ``Genotype``, an architecture string, or the authors' index of an architecture.
    """

    notation: str
    """Notation of the space."""

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
    ) -> float | tuple[float, ...]:
        """Return the accuracy in percent: mean over the stored seeds, one value per seed, or that of one seed.

        Raises:
            NasError: If the benchmark does not store it, with the stored alternatives, or the genotype is not of the
                space.
        """

    @abstractmethod
    def accuracies(self, dataset: str, split: str, epochs: int, seed: Literal["mean"] | int) -> Values:
        """Return the accuracies of all architectures [rows] in percent; NaN if not stored. Read-only."""

    @abstractmethod
    def simulated_seconds(self, genotype: GivenGenotype, dataset: str, epochs: int) -> float:
        """Return the seconds of a training of ``epochs`` epochs and one validation pass after it.

        On CIFAR-10 it is the training on half of the images. Raises NasError like ``accuracy``.
        """

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

    def genotype(self, given: GivenGenotype) -> Genotype:
        """Return the genotype of a string, an index or a value. Raise NasError if it is none, or not stored."""
        return resolve_genotype(given, self._from_index)

    def _from_index(self, index: int) -> Genotype:
        for row in range(len(self)):
            if self.index(row) == index:
                return resolve_genotype(self.architecture(row), self._from_index)
        raise NasError(f"index={index}: the benchmark has {len(self):,} architectures, none of this index.")

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of stored architectures."""
