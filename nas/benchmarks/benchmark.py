"""What a tabular benchmark answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal, overload

import numpy as np
from numpy.typing import NDArray

from nas.architecture.cell import Genotype

Seed = Literal["mean", "each"] | int
Values = NDArray[np.float64]


class Benchmark(ABC):
    """The accuracies of all genotypes of a space, trained from scratch by one protocol.

    Data sets are cifar10, cifar100 and imagenet16_120. Splits are ``valid`` and ``test`` and, where they are held,
    ``train``, ``valtest`` (the images of both) and, of CIFAR-10, ``test_of_valid_run`` and ``train_of_valid_run``: its
    ``valid`` belongs to networks trained on half of the training images, its ``test`` to others trained on all of
    them. ``epochs`` is the length of a training with a schedule of its own; accuracies are those after its last epoch.
    """

    notation: str
    """The notation of the space whose genotypes it knows."""

    @overload
    def accuracy(
        self, genotype: Genotype, dataset: str, split: str, epochs: int, seed: Literal["each"]
    ) -> tuple[float, ...]: ...

    @overload
    def accuracy(
        self, genotype: Genotype, dataset: str, split: str, epochs: int, seed: Literal["mean"] | int
    ) -> float: ...

    @abstractmethod
    def accuracy(
        self, genotype: Genotype, dataset: str, split: str, epochs: int, seed: Seed
    ) -> float | tuple[float, ...]:
        """Accuracy in percent: the mean over the seeds that are held, each of them in their order, or that of one.

        Raises:
            NasError: for what is not held, saying what is, and for a genotype that is not of the space.
        """

    @abstractmethod
    def values(self, dataset: str, split: str, epochs: int, seed: Literal["mean"] | int) -> Values:
        """[architectures] The accuracies of all, by row; NaN where one is not held. Read-only."""

    @abstractmethod
    def seconds(self, genotype: Genotype, dataset: str, epochs: int) -> float:
        """Simulated seconds of a training of ``epochs`` epochs and one validation pass after it.

        Of CIFAR-10 it is the run with the validation images. Raises NasError as ``accuracy`` does.
        """

    @abstractmethod
    def latency(self, genotype: Genotype, dataset: str) -> float:
        """Seconds of one forward pass as the benchmark's authors measured it."""

    @abstractmethod
    def cost(self, genotype: Genotype, dataset: str) -> tuple[int, int]:
        """Parameters and multiply-adds of the trained network, by closed form: stored figures differ among seeds."""

    @abstractmethod
    def row(self, genotype: Genotype) -> int:
        """Where a genotype stands in ``values``. Raises NasError where it is not held, or not of the space."""

    @abstractmethod
    def architecture(self, row: int) -> str:
        """The native string of a row."""

    @abstractmethod
    def index(self, row: int) -> int:
        """The number that the benchmark's authors gave the architecture of a row."""

    @abstractmethod
    def __len__(self) -> int:
        """How many architectures are held."""
