"""TransNAS-Bench-101 (Duan et al., CVPR 2021) in a converted file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from nas.architecture.cell import Genotype
from nas.benchmarks import checksum
from nas.benchmarks.benchmark import Values
from nas.benchmarks.parquet_schema import ARCHITECTURE, INDEX
from nas.benchmarks.parquet_table import ParquetTable
from nas.benchmarks.stored_columns import StoredColumns
from nas.benchmarks.trans_nas_bench_101.convert import INFO, SECONDS, SIZES, SPACES, VERSION
from nas.benchmarks.trans_nas_bench_101.tasks import METRICS, SPLITS, TASKS, Direction, quantity, split_metric
from nas.benchmarks.value_ranges import PERCENT
from nas.spaces.base import Space
from nas.spaces.notation import native_string
from nas.spaces.registry import space_of
from nas.spaces.resolve_genotype import GivenGenotype
from nas.spaces.trans_nas_bench_101.cost import encoder_cost
from nas.utils.errors import NasError, unknown
from nas.utils.ranges import FINITE, Range

SIDE, TILE = 224, 64
"""Side of the images, and of the tiles of the task jigsaw, for which the authors count operations."""
Epoch = Literal["last", "best_valid"] | int


class _Architectures:
    """Names and costs of the architectures of a space for ``ParquetTable``."""

    datasets = tuple(TASKS)

    def __init__(self, notation: str) -> None:
        self.notation = notation
        self.title = f"TransNAS-Bench-101 ({SPACES[notation]})"
        self.size = SIZES[notation]

    def native(self, genotype: Genotype) -> str:
        """Return the string of a genotype. Raise NasError if it is not of the space."""
        if genotype.space != self.notation:
            raise NasError(
                f"benchmark: a genotype of space '{genotype.space}' is not in {self.title}. Use one of space "
                f"'{self.notation}'."
            )
        space_of(genotype, (3, SIDE, SIDE), 1).check(genotype)
        return native_string(genotype)

    def params_and_macs(self, genotype: Genotype, dataset: str) -> tuple[int, int]:
        """Return parameters and multiply-adds of the encoder, the network without the decoder of a task."""
        return encoder_cost(genotype, TILE if dataset == "jigsaw" else SIDE)


class TransNasBench101(ParquetTable):
    """Benchmark in a file written by ``python -m nas convert``: seven tasks, each trained once per architecture.

    Splits of ``accuracy`` are ``train``, ``valid`` and ``test`` for the metric that papers report (``TASKS``). Further
    splits are the names of the authors' interface, such as ``valid_top5``, of metrics whose higher values are better.
    The value is that of the epoch with the best validation value of the same metric, as for early stopping. It is in
    percent except for SSIM and negative losses. The only seed is 0. ``value`` returns any metric at any epoch. Raises
    NasError for a damaged file, and for any other file.
    """

    def __init__(self, path: str | Path, file: pq.ParquetFile) -> None:
        path = Path(path)
        checksum.verify(path, checksum.stored_checksum(file))
        metadata = file.schema_arrow.metadata
        if metadata.get(b"version") != VERSION.encode():
            raise NasError(f"benchmark: {path} is of another version than {VERSION}. Convert the benchmark again.")
        space = _Architectures(metadata[b"notation"].decode())
        self._curves: dict[str, NDArray[np.float32]] = {}
        self._lengths = {
            field.name: field.type.list_size for field in file.schema_arrow if pa.types.is_fixed_size_list(field.type)
        }
        super().__init__(path, file, space, self._stored_columns(), (INDEX, ARCHITECTURE), True)

    def _stored_columns(self) -> Mapping[tuple[str, str, int], StoredColumns]:
        columns = {}
        for name, epochs in self._lengths.items():
            task, metric = name.split("/")
            split, kind = split_metric(metric)
            best = f"{task}/valid_{kind}" in self._lengths
            if best and kind in METRICS and METRICS[kind].direction == "max":
                columns[task, metric, epochs] = StoredColumns({0: name})
                if kind == TASKS[task]:
                    columns[task, split, epochs] = StoredColumns({0: name})
        return columns

    def metrics(self, task: str) -> tuple[str, ...]:
        """Return the names of the stored metrics of a task. Raise NasError if the task is not stored."""
        parts = [name.split("/") for name in self._lengths]
        if task not in {name for name, _ in parts}:
            raise unknown("task of the benchmark", task, {name for name, _ in parts})
        return tuple(metric for name, metric in parts if name == task and metric != SECONDS)

    def direction(self, task: str, metric: str) -> Direction:
        """Return "max" if higher values of a metric are better, else "min". Raise NasError if it is not stored."""
        self._check_metric(task, metric)
        return METRICS[split_metric(metric)[1]].direction

    def value(self, genotype: GivenGenotype, task: str, metric: str, epoch: Epoch) -> float:
        """Return a metric of an architecture.

        Args:
            genotype: the architecture.
            task: key of ``TASKS``.
            metric: name such as ``valid_top1`` (``metrics``).
            epoch: number of epochs so far, from 1; ``last``; or ``best_valid``, the epoch with the best validation
                value of the same kind of metric. The authors' mode "best" is the maximum over the epochs instead, also
                of test values and losses.

        Raises:
            NasError: if the benchmark does not contain it, with the available alternatives.
        """
        curves, row = self._read_curves(task, metric), self.row(genotype)
        epochs = curves.shape[1]
        if epoch == "best_valid":
            column = int(self._best_epochs(task, split_metric(metric)[1])[row])
        elif epoch == "last":
            column = epochs - 1
        elif type(epoch) is int and 1 <= epoch <= epochs:
            column = epoch - 1
        else:
            raise NasError(f"epoch={epoch}: trainings on {task} have the epochs 1 to {epochs}, last and best_valid.")
        return self._stored_number(curves[:, column].astype(np.float64), row, f"{metric} of {task} at epoch {epoch}")

    def curve(self, genotype: GivenGenotype, task: str, metric: str) -> tuple[float, ...]:
        """Return a metric after each epoch, NaN if it is missing. Raises NasError like ``value``."""
        return tuple(self._read_curves(task, metric)[self.row(genotype)].tolist())

    def model_info(self, genotype: GivenGenotype, task: str, name: str) -> float:
        """Return a stored figure of the network, such as ``encoder_params`` or ``inference_time`` in seconds.

        Raises NasError if the benchmark does not contain it.
        """
        self.metrics(task)
        names = [
            column.rpartition("/")[2]
            for column in self._file.schema_arrow.names
            if column.startswith(f"{task}/{INFO}/")
        ]
        if name not in names:
            raise unknown(f"figure of {task}", name, names)
        return self._stored_number(self.column(f"{task}/{INFO}/{name}"), self.row(genotype), f"{name} of {task}")

    def report_epochs(self, dataset: str) -> int:
        return self._lengths[f"{dataset}/{self.metrics(dataset)[0]}"]

    def rows(self, space: Space) -> NDArray[np.int64]:
        """Return the rows of all architectures. Raise NasError if one is not stored."""
        if len(self) < self.space.size:
            raise NasError(
                f"benchmark: {self.path} has {len(self):,} of the {self.space.size:,} architectures of "
                f"{self.space.title}. Convert the benchmark without --partial."
            )
        return np.arange(len(self))

    def column(self, name: str) -> Values:
        """Return a column [architectures] as float64; of a metric, the values at the best validation epochs."""
        if name not in self._lengths:
            return super().column(name)
        task, metric = name.split("/")
        curves = self._read_curves(task, metric)
        best = self._best_epochs(task, split_metric(metric)[1])
        values = curves[np.arange(len(curves)), best].astype(np.float64)
        values.setflags(write=False)
        return values

    def _range_of(self, dataset: str, split: str) -> Range:
        return PERCENT if quantity(dataset, split).unit else FINITE

    def _check_metric(self, task: str, metric: str) -> None:
        names = self.metrics(task)
        if metric not in names:
            raise unknown(f"metric of {task}", metric, names)
        split, kind = split_metric(metric)
        if split not in SPLITS or kind not in METRICS:
            raise NasError(f"metric={metric}: the direction is unknown. Use one of {', '.join(METRICS)}.")

    def _read_curves(self, task: str, metric: str) -> NDArray[np.float32]:
        """Return a metric after each epoch [architectures, epochs]. Raise NasError if it is not stored."""
        if metric != SECONDS:
            self._check_metric(task, metric)
        name = f"{task}/{metric}"
        if name not in self._curves:
            column = self._read([name])[name].combine_chunks()
            flat = column.flatten().to_numpy(zero_copy_only=False).astype(np.float32)
            self._curves[name] = flat.reshape(len(column), self._lengths[name])
        return self._curves[name]

    def _best_epochs(self, task: str, kind: str) -> NDArray[np.int64]:
        """Return the column of the best validation value of each architecture, the first one of equal values."""
        curves = self._read_curves(task, f"valid_{kind}")
        higher = METRICS[kind].direction == "max"
        return np.nan_to_num(curves if higher else -curves, nan=-np.inf).argmax(axis=1)

    def _read_seconds(self, dataset: str, epochs: int) -> Values:
        """Return the seconds of a training with the validation and test passes after its epochs."""
        if f"{dataset}/{SECONDS}" not in self._lengths:
            return np.full(len(self), np.nan)
        return self._read_curves(dataset, SECONDS)[:, -1].astype(np.float64)

    def _read_latency(self, dataset: str) -> Values:
        """Return the seconds of a forward pass of an image of 720 x 1080 pixels."""
        name = f"{dataset}/{INFO}/inference_time"
        return self.column(name) if name in self._file.schema_arrow.names else np.full(len(self), np.nan)
