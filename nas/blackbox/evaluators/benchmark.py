"""Queries of a tabular benchmark."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nas import benchmarks
from nas.architecture.cell import Genotype
from nas.benchmarks.benchmark import Benchmark, Values
from nas.benchmarks.kinds import DATASETS, KINDS
from nas.blackbox.evaluator import Evaluation, Evaluator, growing
from nas.data.base import ImageData
from nas.spaces.base import Space
from nas.utils.errors import NasError

SPLITS = ("valid", "test")
Rows = NDArray[np.int64]


class BenchmarkQuery(Evaluator):
    """The stored accuracy of a genotype, at the simulated cost of training it and validating it once.

    Args:
        space, data, device: the space; the images and the device are not touched.
        root: the directory under which the benchmark's table lies.
        dataset: cifar10, cifar100 or imagenet16_120.
        split: ``valid`` is what a search may look at.
        epochs: the length of the trainings that are looked up, 12 or 200 for NAS-Bench-201.
        trial: which of the trainings with different seeds: ``mean``, the number of a seed, or ``random``, which draws
            one of those held, anew for every query.
        report: the length of the trainings by which a found genotype is reported; None: as papers on the space do.
        seed: of the draws of ``random``.
        fidelities: several lengths of training, growing, instead of ``epochs``; each query says which.

    Raises:
        NasError: where there is no table of the space, or it does not hold what is asked for of all its genotypes.
    """

    unit = "validation accuracy (%)"
    simulated = True

    def __init__(
        self,
        space: Space,
        data: ImageData | None = None,
        device: torch.device | None = None,
        root: str = "data",
        dataset: str = "cifar10",
        split: str = "valid",
        epochs: int = 12,
        trial: str | int = "mean",
        report: int | None = None,
        seed: int = 0,
        fidelities: Sequence[int] | None = None,
    ) -> None:
        if dataset not in DATASETS:
            raise NasError(
                f"evaluator=benchmark knows the data sets {', '.join(DATASETS)}, not '{dataset}': choose "
                "dataset=cifar10, whose images are not read, or evaluator.dataset"
            )
        table = benchmarks.find(root, space.notation) if space.notation in KINDS else None
        if table is None:
            raise _no_table(root, space.notation)
        if isinstance(trial, str) and trial not in ("mean", "random"):
            raise NasError(f"evaluator.trial={trial}: it takes mean, random, or the number of a seed")
        self.space = space
        self.table: Benchmark = table
        self.dataset, self.split, self.epochs, self.trial = dataset, split, epochs, trial
        self.report = KINDS[space.notation].epochs if report is None else report
        self.fidelities = growing(fidelities)
        self.unit = self.unit_at(None)
        self._optimum: dict[str, float] | None = None
        self._rows: Rows | None = None
        self.begin(seed)
        self._check(report is not None)

    def unit_at(self, fidelity: int | None) -> str:
        lengths = (self.fidelities or (self.epochs,)) if fidelity is None else (fidelity,)
        return f"{self.dataset} {self.split} accuracy after {' or '.join(map(str, lengths))} epochs (%)"

    def _check(self, reported: bool) -> None:
        """Raises NasError for what the table does not hold of a genotype: a search would come to it late."""
        for epochs in self.fidelities or (self.epochs,):
            try:
                self._check_length(epochs)
            except NasError as error:
                several = f".fidelities={list(self.fidelities)}" if self.fidelities else "=benchmark"
                raise NasError(f"evaluator{several}: {str(error).removeprefix('benchmark: ')}") from None
        if reported and not any(self._columns()):
            try:
                self.table.values(self.dataset, "test", self.report, "mean")
            except NasError as error:
                raise NasError(f"evaluator.report={self.report}: {error}") from None

    def _check_length(self, epochs: int) -> None:
        seed: Any = "mean" if self.trial == "random" else self.trial
        try:
            values = self.table.values(self.dataset, self.split, epochs, seed)
        except NasError as error:
            raise self._of_trial(error) from None
        known = np.isfinite(values[self._places()])
        if not known.all():
            one = self.trial not in ("mean", "random")
            seeds = f" with seed {self.trial} (evaluator.trial)" if one else ""
            better = "evaluator.trial=random draws of those that there are" if one else "choose another split or length"
            raise NasError(
                f"the table holds {self.dataset} {self.split} after {epochs} epochs{seeds} of {known.sum():,} of the "
                f"{known.size:,} architectures of space '{self.space.name}', and a search may ask for any: {better}"
            )
        first = self.space.parse(self.table.architecture(int(self._places()[0])))
        self.table.seconds(first, self.dataset, epochs)
        if self.trial == "random":
            try:
                self.table.accuracy(first, self.dataset, self.split, epochs, "each")
            except NasError as error:
                raise self._of_trial(error) from None

    def _of_trial(self, error: NasError) -> NasError:
        return error if self.trial == "mean" else NasError(f"evaluator.trial={self.trial}: {error}")

    def _places(self) -> Rows:
        """[genotypes] The rows of the table that are of the space. Raises NasError where the table lacks one."""
        if self._rows is None:
            space, kind, count = self.space, KINDS[self.space.notation], len(self.table)
            if count == kind.size and all(set(cell.ops) == set(kind.ops) for cell in space.cells.values()):
                self._rows = np.arange(count)
            else:
                genotypes = map(space.from_index, range(space.size or 0))
                self._rows = np.array([self.table.row(genotype) for genotype in genotypes])
        return self._rows

    def begin(self, seed: int) -> None:
        # a stream of its own: a strategy that begins with the same seed draws from Random(seed)
        self._rng = random.Random(f"trial of {seed}")

    def state(self) -> dict[str, Any]:
        version, internal, gauss = self._rng.getstate()
        return {"rng": [version, list(internal), gauss]}

    def load(self, state: Mapping[str, Any]) -> None:
        version, internal, gauss = state["rng"]
        self._rng.setstate((version, tuple(internal), gauss))

    def __call__(self, genotype: Genotype, fidelity: int | None = None) -> Evaluation:
        epochs = self.epochs if fidelity is None else fidelity
        seconds = self.table.seconds(genotype, self.dataset, epochs)
        policy: Any = "each" if self.trial == "random" else self.trial
        try:
            found = self.table.accuracy(genotype, self.dataset, self.split, epochs, policy)
        except NasError as error:
            raise self._of_trial(error) from None
        return Evaluation(self._rng.choice(found) if self.trial == "random" else found, seconds)

    def facts(self, genotype: Genotype) -> dict[str, float]:
        """Validation and test accuracy on each data set after ``report`` epochs, mean over seeds, where held."""
        found = {}
        for dataset in DATASETS:
            for split in SPLITS:
                try:
                    value = self.table.accuracy(genotype, dataset, split, self.report, "mean")
                except NasError:
                    continue
                if math.isfinite(value):
                    found[f"{dataset}/{split}"] = value
        return found

    def optimum(self) -> dict[str, float]:
        if self._optimum is None:
            columns = {name: values[self._places()] for name, values in self._columns()}
            self._optimum = {n: float(values.max()) for n, values in columns.items() if np.isfinite(values).all()}
        return self._optimum

    def _columns(self) -> Iterator[tuple[str, Values]]:
        """What is reported, by the names of ``facts``, of all architectures."""
        for dataset in DATASETS:
            for split in SPLITS:
                try:
                    yield f"{dataset}/{split}", self.table.values(dataset, split, self.report, "mean")
                except NasError:
                    continue


def _no_table(root: str, notation: str) -> NasError:
    if notation not in KINDS:
        return NasError(
            f"evaluator=benchmark: there is no benchmark of space '{notation}', only of {' and '.join(KINDS)}; "
            "evaluator=zero_cost, supernet or training values the genotypes of any space"
        )
    from nas.benchmarks.tables import unreadable  # pyarrow takes its time to import

    broken = "".join(f"; {path.name} there cannot be read" for path in unreadable(root, notation))
    return NasError(
        f"evaluator=benchmark: there is no table of space '{notation}' in {root} or {root}/{notation}{broken}; "
        "name its directory by paths.benchmark or paths.data"
    )
