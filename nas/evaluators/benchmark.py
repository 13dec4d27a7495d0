"""Queries of a tabular benchmark."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from nas import benchmarks
from nas.benchmarks.benchmark import Benchmark
from nas.benchmarks.kinds import DATASETS, KINDS
from nas.cells import Genotype
from nas.data.images import ImageData
from nas.errors import NasError
from nas.evaluation import Evaluation, Evaluator, growing
from nas.spaces.space import Space

SPLITS = ("valid", "test")


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
        NasError: where there is no table of the space, or it does not hold what is asked for.
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
        table = benchmarks.find(root, space.notation)
        if table is None:
            raise self._no_table(root, space.notation)
        if isinstance(trial, str) and trial not in ("mean", "random"):
            raise NasError(f"evaluator.trial={trial}: it takes mean, random, or the number of a seed")
        self.table: Benchmark = table
        self.dataset, self.split, self.epochs, self.trial = dataset, split, epochs, trial
        self.report = KINDS[space.notation].epochs if report is None else report
        self.fidelities = growing(fidelities)
        lengths = " or ".join(map(str, self.fidelities or [epochs]))
        self.unit = f"{dataset} {split} accuracy after {lengths} epochs (%)"
        self._optimum: dict[str, float] | None = None
        self.begin(seed)
        self._try_fidelities(space)
        self.begin(seed)

    def _try_fidelities(self, space: Space) -> None:
        """Raises NasError for a length that the table does not hold: a search would come to it late."""
        for epochs in self.fidelities:
            try:
                self(space.parse(self.table.architecture(0)), epochs)
            except NasError as error:
                raise NasError(f"evaluator.fidelities={list(self.fidelities)}: {error}") from None

    @staticmethod
    def _no_table(root: str, notation: str) -> NasError:
        from nas.benchmarks.tables import unreadable  # pyarrow takes its time to import

        broken = "".join(f"; {path.name} there cannot be read" for path in unreadable(root, notation))
        return NasError(
            f"evaluator=benchmark: there is no table of space '{notation}' in {root} or {root}/{notation}{broken}; "
            "name its directory by paths.benchmark or paths.data"
        )

    def begin(self, seed: int) -> None:
        self._rng = random.Random(seed)

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
            if self.trial == "mean":
                raise
            raise NasError(f"evaluator.trial={self.trial}: {error}") from None
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
            self._optimum = {}
            for dataset in DATASETS:
                for split in SPLITS:
                    try:
                        values = self.table.values(dataset, split, self.report, "mean")
                    except NasError:
                        continue
                    if bool((values == values).all()):
                        self._optimum[f"{dataset}/{split}"] = float(values.max())
        return self._optimum
