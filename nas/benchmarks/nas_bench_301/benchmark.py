"""NAS-Bench-301 (Zela et al., ICLR 2022): accuracies of the DARTS space, predicted by an ensemble of trees."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, overload

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nas.architecture.cell import Genotype
from nas.benchmarks import checksum
from nas.benchmarks.benchmark import Seed
from nas.benchmarks.nas_bench_301.coverage import check_coverage
from nas.benchmarks.nas_bench_301.encoding import encode
from nas.benchmarks.nas_bench_301.parquet import ENSEMBLE, from_columns
from nas.benchmarks.nas_bench_301.trees import Floats, TreeEnsemble
from nas.spaces.base import Space
from nas.spaces.darts.notation import NOTATION
from nas.spaces.resolve_genotype import GivenGenotype, resolve_genotype
from nas.utils.errors import NasError, unknown

DATASET, SPLIT, EPOCHS = "cifar10", "valid", 100
ACCURACY, SECONDS = "accuracy", "seconds"
"""Ensembles of a file: validation accuracy in percent, and seconds of the training."""
VERSION = "1"


class Prediction(NamedTuple):
    """Mean and standard deviation over the models of an ensemble."""

    mean: float
    std: float


class NasBench301:
    """Surrogate benchmark in a file written by ``python -m nas convert``. Implements ``Benchmark``.

    It predicts the accuracy on the 10,000 validation images of CIFAR-10 after a training of 100 epochs with 8 cells and
    32 channels. A seed is the number of a model of the ensemble, ``mean`` averages over all models. Raises NasError for
    a damaged file, and for any other file.
    """

    notation: str = NOTATION
    verified: bool = True

    def __init__(self, path: str | Path, file: pq.ParquetFile) -> None:
        self.path = Path(path)
        checksum.verify(self.path, checksum.stored_checksum(file))
        metadata = file.schema_arrow.metadata
        if metadata.get(b"version") != VERSION.encode():
            raise NasError(f"benchmark: {path} is of another version than {VERSION}. Convert the benchmark again.")
        self.source = metadata[b"source"].decode()
        self._models: Mapping[str, Any] = json.loads(metadata[b"ensembles"])
        self._nodes: pa.Table | None = file.read(use_threads=False)
        self._ensembles = {name: self._read(name) for name in self._models}
        self._nodes = None
        self._latest: tuple[Genotype, Floats] | None = None

    def _read(self, name: str) -> TreeEnsemble:
        assert self._nodes is not None
        rows = self._nodes.filter(pc.equal(self._nodes[ENSEMBLE], name))
        return from_columns(rows, self._models[name]["base"], self._models[name]["strict"])

    def __len__(self) -> int:
        """Return the number of models that predict the accuracy."""
        return len(self._ensembles[ACCURACY])

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
        self.check(dataset, split, epochs, seed)
        values = self._predictions(genotype)
        if seed == "mean":
            return float(values.mean())
        return tuple(values.tolist()) if seed == "each" else float(values[seed])

    def prediction(self, genotype: GivenGenotype) -> Prediction:
        """Return the predicted validation accuracy in percent. Raises NasError if the genotype is not covered."""
        values = self._predictions(genotype)
        return Prediction(float(values.mean()), float(values.std()))

    def sample_accuracy(
        self, genotype: GivenGenotype, dataset: str, split: str, epochs: int, rng: random.Random
    ) -> float:
        """Return a sample of N(mean, std) of the ensemble, the noisy prediction of the authors' interface."""
        self.check(dataset, split, epochs, "mean")
        return rng.gauss(*self.prediction(genotype))

    def simulated_seconds(self, genotype: GivenGenotype, dataset: str, epochs: int) -> float:
        self.check(dataset, SPLIT, epochs, "mean")
        if SECONDS not in self._ensembles:
            raise NasError(
                f"benchmark: {self.path} has no model of the training time. Convert the directory nb_models, which "
                "also contains lgb_runtime_v1.0."
            )
        return float(self._ensembles[SECONDS].predict(encode(self.genotype(genotype))).mean())

    def check(self, dataset: str, split: str, epochs: int, seed: Seed) -> None:
        if dataset != DATASET:
            raise unknown("dataset of the benchmark", dataset, [DATASET])
        if split != SPLIT:
            raise NasError(f"split={split}: NAS-Bench-301 predicts the split {SPLIT} only.")
        if epochs != EPOCHS:
            raise NasError(f"epochs={epochs}: NAS-Bench-301 predicts trainings of {EPOCHS} epochs only.")
        if seed not in ("mean", "each") and not (type(seed) is int and 0 <= seed < len(self)):
            raise NasError(f"seed={seed}: {self.path} has the models 0 to {len(self) - 1}, mean and each.")

    def check_space(self, space: Space) -> None:
        check_coverage(space)

    def report_epochs(self, dataset: str) -> int:
        return EPOCHS

    def best_accuracy(self, dataset: str, split: str, epochs: int, space: Space | None = None) -> float | None:
        """Return None: the best genotype is unknown."""
        return None

    def genotype(self, given: GivenGenotype) -> Genotype:
        """Return the genotype of a string or a value. Raise NasError if it is none."""
        return resolve_genotype(given, _from_index)

    def _predictions(self, genotype: GivenGenotype) -> Floats:
        """Return the predictions [models]; those of the latest genotype are kept."""
        genotype = self.genotype(genotype)
        if self._latest is None or self._latest[0] != genotype:
            self._latest = genotype, self._ensembles[ACCURACY].predict(encode(genotype))
        return self._latest[1]


def _from_index(index: int) -> Genotype:
    raise NasError(f"index={index}: genotypes of NAS-Bench-301 have no indices. Give a genotype.")
