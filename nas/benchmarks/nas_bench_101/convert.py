"""Conversion of ``nasbench_only108.tfrecord`` or ``nasbench_full.tfrecord`` to one table.

There is one row per cell, in the order of the file:

- ``hash``, ``parameters``;
- ``matrix``: bits above the diagonal, row by row;
- ``ops``: digits of base 4, 0 after the last vertex;
- ``EPOCHS/REPEAT/SPLIT``: correct images of 10,000;
- ``EPOCHS/REPEAT/seconds``: seconds of the training.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from nas.benchmarks.nas_bench_101.records import TrainingRecord, read_records
from nas.benchmarks.parquet_schema import FORMAT
from nas.spaces.nas_bench_101.graph import OPS, Graph
from nas.spaces.nas_bench_101.notation import NOTATION
from nas.utils.errors import NasError

VERSION = "1"
HASH, MATRIX, LABELS, PARAMETERS, SECONDS = "hash", "matrix", "ops", "parameters", "seconds"
SPLITS = ("train", "valid", "test")
_ROW = "row"
IMAGES = 10_000
SIZE = 423_624
REPEATS = 3
RELEASES: Mapping[str, str] = {
    "nasbench_only108": "4c39c3936e36a85269881d659e44e61a245babcb72cb374eacacf75d0e5f4fd1",
    "nasbench_full": "3d64db8180fb1b0207212f9032205064312b6907a3bbc81eabea10db2f5c7e9c",
}
"""Published files without their suffix, and their SHA-256."""


def encode_graph(graph: Graph) -> tuple[int, int]:
    """Return the columns ``matrix`` and ``ops`` of a graph of at most seven vertices."""
    count = len(graph.ops)
    bits = [graph.matrix[s][t] for s in range(count) for t in range(s + 1, count)]
    matrix = sum(bit << place for place, bit in enumerate(bits))
    return matrix, sum((OPS.index(op) + 1) << 2 * place for place, op in enumerate(graph.ops[1:-1]))


def decode_graph(matrix: int, labels: int) -> Graph:
    """Return the graph of the columns ``matrix`` and ``ops``."""
    inner = []
    while labels:
        inner.append(OPS[(labels & 3) - 1])
        labels >>= 2
    count, rows, place = len(inner) + 2, [], 0
    for source in range(count):
        above = count - source - 1
        rows.append((*[0] * (source + 1), *(matrix >> (place + i) & 1 for i in range(above))))
        place += above
    return Graph(tuple(rows), ("input", *inner, "output"))


class _Columns:
    """Columns of all cells read so far."""

    def __init__(self) -> None:
        self.rows: dict[str, int] = {}
        self.fixed: dict[str, array[int]] = {name: array("i") for name in (MATRIX, LABELS, PARAMETERS)}
        self.trainings: dict[tuple[int, int], dict[str, array[float]]] = {}
        self._repeats: dict[tuple[str, int], int] = {}

    def add(self, record: TrainingRecord) -> None:
        """Add a training. Raise ValueError if it contradicts an earlier one of its cell."""
        row = self.rows.setdefault(record.hash, len(self.rows))
        fixed = (*encode_graph(record.graph), record.parameters)
        if row == len(self.fixed[MATRIX]):
            for name, value in zip(self.fixed, fixed, strict=True):
                self.fixed[name].append(value)
        elif fixed != tuple(values[row] for values in self.fixed.values()):
            raise ValueError(f"another cell with the hash {record.hash} or other parameters")
        repeat = self._repeats.get((record.hash, record.epochs), 0)
        if repeat == REPEATS:
            raise ValueError(f"more than {REPEATS} trainings of one cell and length")
        self._repeats[record.hash, record.epochs] = repeat + 1
        if (record.epochs, repeat) not in self.trainings:
            self.trainings[record.epochs, repeat] = {name: array("d") for name in (_ROW, *SPLITS, SECONDS)}
        columns = self.trainings[record.epochs, repeat]
        for column, number in zip(columns.values(), (row, *record.accuracies, record.seconds), strict=True):
            column.append(number)

    def to_table(self) -> pa.Table:
        """Return the table, cells in the order of the file."""
        count = len(self.rows)
        content: dict[str, pa.Array] = {HASH: pa.array(map(bytes.fromhex, self.rows), pa.binary(16))}
        content |= {name: pa.array(np.frombuffer(values, np.int32)) for name, values in self.fixed.items()}
        for (epochs, repeat), columns in sorted(self.trainings.items()):
            rows = np.frombuffer(columns[_ROW]).astype(np.int64)
            for name in (*SPLITS, SECONDS):
                values = np.full(count, np.nan)
                values[rows] = np.frombuffer(columns[name]) * (1 if name == SECONDS else IMAGES)
                kind = pa.float32() if name == SECONDS else pa.int16()
                rounded = values if name == SECONDS else np.round(values)
                content[f"{epochs}/{repeat}/{name}"] = pa.array(rounded, from_pandas=True).cast(kind)
        return pa.table(content)


def read_release(
    source: Path, release: str, partial: bool, progress: Callable[[int, int], None]
) -> tuple[pa.Table, str]:
    """Return a published file as a table, and a description.

    Args:
        source: the file.
        release: one of ``RELEASES``.
        partial: accept a file with other content than the published one.
        progress: receives the number of bytes that were read and their total.

    Raises:
        NasError: if the file is damaged or, without ``partial``, not the published file.
    """
    if not partial:
        with source.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != RELEASES[release]:
                raise NasError(
                    f"{source} is not the published file {release}.tfrecord, or is damaged (SHA-256). Download it "
                    "again, or add --partial to convert it nevertheless."
                )
    columns = _Columns()
    read_records(source, columns.add, verify=partial, progress=progress)  # the SHA-256 covers the checksums
    table = columns.to_table()
    metadata = {"format": FORMAT, "version": VERSION, "notation": NOTATION, "source": release}
    lengths = sorted({epochs for epochs, _ in columns.trainings})
    repeats = 1 + max(repeat for _, repeat in columns.trainings)
    described = (
        f"{len(table):,} of {SIZE:,} cells of NAS-Bench-101 ({', '.join(map(str, lengths))} epochs, {repeats} repeats)"
    )
    return table.replace_schema_metadata(metadata), described
