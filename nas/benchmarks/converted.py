"""The reader of converted benchmarks."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nas.benchmarks import layout
from nas.benchmarks.benchmark import Values
from nas.benchmarks.kinds import KINDS
from nas.benchmarks.table import Held, Table, open_parquet
from nas.utils.errors import NasError


def notation_of(schema: pa.Schema) -> str | None:
    """The notation in the metadata of a converted benchmark, None where it is no such file."""
    metadata = schema.metadata or {}
    if metadata.get(b"format", b"").decode() != layout.FORMAT:
        return None
    return str(metadata.get(b"notation", b"").decode())


class ConvertedTable(Table):
    """A file that ``python -m nas.benchmarks.convert`` wrote. Raises NasError where it is not one."""

    def __init__(self, path: str | Path, file: pq.ParquetFile | None = None) -> None:
        path = Path(path)
        file = open_parquet(path) if file is None else file
        notation = notation_of(file.schema_arrow)
        if notation is None:
            raise NasError(f"benchmark: {path} was not written by python -m nas.benchmarks.convert")
        version = file.schema_arrow.metadata.get(b"version", b"none").decode()
        if version != layout.VERSION or notation not in KINDS:
            raise NasError(
                f"benchmark: {path} has version {version} and notation '{notation}', this release reads version "
                f"{layout.VERSION} of {', '.join(KINDS)}: convert the benchmark again"
            )
        names = file.schema_arrow.names
        self._names = set(names)
        super().__init__(path, file, KINDS[notation], _held(names), (layout.INDEX, layout.ARCHITECTURE))

    def _seconds(self, dataset: str, epochs: int) -> Values:
        run, part = layout.SPLITS[dataset]["valid"]
        train = self._if_held(layout.seconds_column(epochs, run, "train"))
        return epochs * train + self._if_held(layout.seconds_column(epochs, run, part))

    def _latency(self, dataset: str) -> Values:
        return self._if_held(layout.latency_column(layout.SPLITS[dataset]["test"][0]))

    def _if_held(self, name: str) -> Values:
        """A column, NaN where there is none: a source without times of any architecture gives none."""
        return self.column(name) if name in self._names else np.full(len(self), np.nan)


def _held(names: list[str]) -> dict[tuple[str, str, int], Held]:
    stored: dict[tuple[str, str, int], dict[int, str]] = {}
    for name in names:
        parts = re.fullmatch(r"(\d+)/([^/]+)/(\d+)/([^/]+)", name)
        if parts is not None:
            stored.setdefault((parts[2], parts[4], int(parts[1])), {})[int(parts[3])] = name
    lengths = sorted({epochs for _, _, epochs in stored})
    return {
        (dataset, split, epochs): Held(stored[*place, epochs])
        for dataset, splits in layout.SPLITS.items()
        for split, place in splits.items()
        for epochs in lengths
        if (*place, epochs) in stored
    }
