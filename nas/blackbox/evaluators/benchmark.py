"""Evaluation by a benchmark, tabular or predicted."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch

from nas import benchmarks
from nas.benchmarks.benchmark import Benchmark, TabularBenchmark, Values
from nas.benchmarks.descriptions import BENCHMARKS, STORED_AS
from nas.blackbox.evaluator import Evaluator, QueryResult, check_fidelities
from nas.data.base import ImageData
from nas.spaces.base import Space
from nas.spaces.resolve_genotype import GivenGenotype
from nas.utils.errors import NasError
from nas.utils.ranges import COUNT, COUNT_OR_ZERO, SEED, check_ranges


@check_ranges(epochs=COUNT, report_epochs=COUNT, fidelities=COUNT, seed=SEED)
class BenchmarkQuery(Evaluator):
    """Stored or predicted accuracy of a genotype, at the simulated cost of one training and one validation pass.

    Args:
        space: search space; the benchmark must contain all of its genotypes.
        data: not used.
        device: not used.
        root: directory of the benchmark's file, or its parent.
        dataset: data set or task of the benchmark: cifar10, cifar100 or imagenet16_120 on NAS-Bench-201, one of
            seven tasks on TransNAS-Bench-101.
        split: ``valid`` or ``test``; a search should use ``valid``.
        epochs: length of the trainings that are looked up: 12 or 200 on NAS-Bench-201. None selects the usual length of
            searches on the benchmark: 12 on NAS-Bench-201, 100 on NAS-Bench-301, the only one on TransNAS-Bench-101.
        benchmark_seed: training seed to look up: ``mean`` over the stored seeds, a number, or ``random``, which samples
            a stored seed per query. ``random`` samples from the predicted distribution on NAS-Bench-301.
        report_epochs: length of the trainings in ``reported_accuracies``; None selects the usual length in papers.
        seed: seed of the samples of ``random``.
        fidelities: increasing training lengths that replace ``epochs``; each query selects one of them.

    Raises:
        NasError: if there is no benchmark of the space, or if it lacks a requested accuracy of any genotype.
    """

    label = "validation accuracy (%)"
    simulated = True

    def __init__(
        self,
        space: Space,
        data: ImageData | None = None,
        device: torch.device | None = None,
        root: str = "data",
        dataset: str = "cifar10",
        split: str = "valid",
        epochs: int | None = None,
        benchmark_seed: str | int = "mean",
        report_epochs: int | None = None,
        seed: int = 0,
        fidelities: Sequence[int] | None = None,
    ) -> None:
        if space.notation not in BENCHMARKS:
            raise _no_benchmark(space)
        about = BENCHMARKS[space.notation]
        if about.check_space is not None:
            _check_space(about.check_space, space)
        if dataset not in about.datasets:
            raise NasError(
                f"evaluator.dataset={dataset}: {about.title} has {', '.join(about.datasets)}. Set "
                + ("dataset=cifar10, whose images are not read, or " if "cifar10" in about.datasets else "")
                + "evaluator.dataset."
            )
        table = benchmarks.find_benchmark(root, space.notation)
        if table is None:
            raise _no_file(root, space.notation)
        if benchmark_seed not in ("mean", "random") and benchmark_seed not in COUNT_OR_ZERO:
            raise NasError(f"evaluator.benchmark_seed={benchmark_seed}: use mean, random or a seed number.")
        self.space = space
        self.table: Benchmark = table
        self.dataset, self.split, self.benchmark_seed = dataset, split, benchmark_seed
        self.about = about
        self.epochs = epochs or about.query_epochs or _report_epochs(table, dataset)
        self.report_epochs = report_epochs
        self.fidelities = check_fidelities(fidelities)
        self._best: dict[str, float] | None = None
        self.reset(seed)
        self._check()
        self.label = self.label_at(None)

    def label_at(self, fidelity: int | None) -> str:
        lengths = (self.fidelities or (self.epochs,)) if fidelity is None else (fidelity,)
        return self.about.label(self.dataset, self.split, lengths)

    def _check(self) -> None:
        """Raise NasError before the search starts if the table lacks an accuracy that a query may request."""
        for epochs in self.fidelities or (self.epochs,):
            try:
                self._check_length(epochs)
            except NasError as error:
                option = f".fidelities={list(self.fidelities)}" if self.fidelities else "=benchmark"
                raise NasError(f"evaluator{option}: {str(error).removeprefix('benchmark: ')}") from None
        if self.report_epochs is not None and not any(self._columns()):
            try:
                self.table.check(self.dataset, "test", self.report_epochs, "mean")
            except NasError as error:
                raise NasError(f"evaluator.report_epochs={self.report_epochs}: {error}") from None

    def _check_length(self, epochs: int) -> None:
        seed: Any = "mean" if self.benchmark_seed == "random" else self.benchmark_seed
        try:
            self.table.check(self.dataset, self.split, epochs, seed)
        except NasError as error:
            raise self._with_seed_option(error) from None
        self.table.check_space(self.space)
        if isinstance(self.table, TabularBenchmark):
            self._check_stored(self.table, epochs, seed)
        first = self.space.sample(random.Random(0))
        self.table.simulated_seconds(first, self.dataset, epochs)
        if self.benchmark_seed == "random":
            try:
                self.table.accuracy(first, self.dataset, self.split, epochs, "each")
            except NasError as error:
                raise self._with_seed_option(error) from None

    def _check_stored(self, table: TabularBenchmark, epochs: int, seed: Any) -> None:
        """Raise NasError if the table lacks the accuracy of a genotype of the space."""
        stored = np.isfinite(table.accuracies(self.dataset, self.split, epochs, seed)[table.rows(self.space)])
        if not stored.all():
            single = self.benchmark_seed not in ("mean", "random")
            of_seed = f" with seed {self.benchmark_seed}" if single else ""
            fix = "Set evaluator.benchmark_seed=random." if single else "Choose another split or length."
            raise NasError(
                f"the table has {self.dataset} {self.split} accuracy after {epochs} epochs{of_seed} for only "
                f"{stored.sum():,} of the {stored.size:,} architectures of space '{self.space.name}'. {fix}"
            )

    def _with_seed_option(self, error: NasError) -> NasError:
        if self.benchmark_seed == "mean":
            return error
        return NasError(f"evaluator.benchmark_seed={self.benchmark_seed}: {error}")

    def reset(self, seed: int) -> None:
        # A separate stream: the strategy samples from Random(seed) with the same seed.
        self._rng = random.Random(f"trial of {seed}")

    def state_dict(self) -> dict[str, Any]:
        version, internal, gauss = self._rng.getstate()
        return {"rng": [version, list(internal), gauss]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        version, internal, gauss = state["rng"]
        self._rng.setstate((version, tuple(internal), gauss))

    def __call__(self, genotype: GivenGenotype, fidelity: int | None = None) -> QueryResult:
        genotype = self.table.genotype(genotype)
        epochs = self.epochs if fidelity is None else fidelity
        seconds = self.table.simulated_seconds(genotype, self.dataset, epochs)
        try:
            if self.benchmark_seed == "random":
                value = self.table.sample_accuracy(genotype, self.dataset, self.split, epochs, self._rng)
            else:
                seed: Any = self.benchmark_seed
                value = self.table.accuracy(genotype, self.dataset, self.split, epochs, seed)
        except NasError as error:
            raise self._with_seed_option(error) from None
        return QueryResult(value, seconds)

    def reported_accuracies(self, genotype: GivenGenotype) -> dict[str, float]:
        """Return the stored validation and test accuracies after ``report_epochs`` epochs, means over seeds.

        The keys are DATASET/SPLIT.
        """
        genotype, accuracies = self.table.genotype(genotype), {}
        for dataset, split, epochs in self._reported:
            try:
                value = self.table.accuracy(genotype, dataset, split, epochs, "mean")
            except NasError:
                continue
            if math.isfinite(value):
                accuracies[f"{dataset}/{split}"] = value
        return accuracies

    @cached_property
    def _reported(self) -> list[tuple[str, str, int]]:
        """Data sets, splits and training lengths of the reported accuracies that the benchmark contains."""
        reported = []
        for dataset in self.about.datasets:
            for split in self.about.splits:
                try:
                    epochs = self.table.report_epochs(dataset) if self.report_epochs is None else self.report_epochs
                    self.table.check(dataset, split, epochs, "mean")
                except NasError:
                    continue
                reported.append((dataset, split, epochs))
        return reported

    def best_accuracies(self) -> dict[str, float]:
        if self._best is None:
            columns = dict(self._columns())
            self._best = {n: float(values.max()) for n, values in columns.items() if np.isfinite(values).all()}
        return self._best

    def _columns(self) -> Iterator[tuple[str, Values]]:
        """Yield the reported accuracies of the space's genotypes, by the keys of ``reported_accuracies``."""
        if not isinstance(self.table, TabularBenchmark):
            return
        rows = self.table.rows(self.space)
        for dataset, split, epochs in self._reported:
            yield f"{dataset}/{split}", self.table.accuracies(dataset, split, epochs, "mean")[rows]


def _check_space(check: Callable[[Space], None], space: Space) -> None:
    try:
        check(space)
    except NasError as error:
        raise NasError(f"evaluator=benchmark: {error}") from None


def _report_epochs(table: Benchmark, dataset: str) -> int:
    try:
        return table.report_epochs(dataset)
    except NasError as error:
        raise NasError(f"evaluator.dataset={dataset}: {error}") from None


def _no_benchmark(space: Space) -> NasError:
    *others, last = BENCHMARKS
    alternatives = "zero_cost, supernet or training" if space.inputs == "images" else "supernet or training"
    return NasError(
        f"evaluator=benchmark: space '{space.notation}' has no benchmark; {', '.join(others)} and {last} have one. Set "
        f"evaluator={alternatives}."
    )


def _no_file(root: str, notation: str) -> NasError:
    from nas.benchmarks.find import unreadable_files  # imports pyarrow, which is slow to load

    broken = "".join(f"; {path.name} in it cannot be read" for path in unreadable_files(root, notation))
    return NasError(
        f"evaluator=benchmark: there is no table of space '{notation}' ({BENCHMARKS[notation].title}) in {root} or "
        f"{root}/{STORED_AS.get(notation, notation)}{broken}. Set paths.benchmark or paths.data to its directory."
    )
