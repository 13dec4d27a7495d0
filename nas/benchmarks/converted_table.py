"""Reader of converted benchmarks."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nas.benchmarks import checksum, parquet_schema
from nas.benchmarks.benchmark import Values
from nas.benchmarks.benchmark_spaces import BENCHMARK_SPACES
from nas.benchmarks.parquet_table import ParquetTable, open_parquet
from nas.benchmarks.stored_columns import StoredColumns
from nas.utils.errors import NasError

log = logging.getLogger(__name__)


def notation_of(schema: pa.Schema) -> str | None:
    """Return the notation in the metadata of a converted benchmark, None for any other file."""
    metadata = schema.metadata or {}
    if metadata.get(b"format") != parquet_schema.FORMAT.encode():
        return None
    return str(metadata.get(b"notation", b"").decode(errors="replace"))


class ConvertedTable(ParquetTable):
    """Benchmark in a file written by ``python -m nas convert``.

    The checksum in the file is verified at opening. Raises NasError for a damaged file, and for any other file.
    """

    def __init__(self, path: str | Path, file: pq.ParquetFile | None = None) -> None:
        path = Path(path)
        file = open_parquet(path) if file is None else file
        stored = checksum.stored_checksum(file)
        if stored is not None:
            checksum.verify(path, stored)
        notation = notation_of(file.schema_arrow)
        if notation is None:
            raise NasError(f"benchmark: {path} was not written by python -m nas convert")
        version = file.schema_arrow.metadata.get(b"version", b"none").decode(errors="replace")
        if version == parquet_schema.VERSION and stored is None:
            checksum.verify(path, None)
        if version == parquet_schema.WITHOUT_CHECKSUM:
            log.warning("benchmark: %s has no checksum, so damage is not noticed. Convert the benchmark again.", path)
        elif version != parquet_schema.VERSION or notation not in BENCHMARK_SPACES:
            raise NasError(
                f"benchmark: {path} has version {version} and notation '{notation}'; supported is version "
                f"{parquet_schema.VERSION} of {', '.join(BENCHMARK_SPACES)}. Convert the benchmark again."
            )
        names = file.schema_arrow.names
        self._names = set(names)
        index_and_name = (parquet_schema.INDEX, parquet_schema.ARCHITECTURE)
        super().__init__(
            path, file, BENCHMARK_SPACES[notation], _stored_columns(names), index_and_name, stored is not None
        )

    def _read_seconds(self, dataset: str, epochs: int) -> Values:
        run, image_set = parquet_schema.SPLITS[dataset]["valid"]
        train = self._column_or_nan(parquet_schema.seconds_column(epochs, run, "train"))
        return epochs * train + self._column_or_nan(parquet_schema.seconds_column(epochs, run, image_set))

    def _read_latency(self, dataset: str) -> Values:
        return self._column_or_nan(parquet_schema.latency_column(parquet_schema.SPLITS[dataset]["test"][0]))

    def _column_or_nan(self, name: str) -> Values:
        """Return a column, NaN if it is missing: a source without times of any architecture has none."""
        return self.column(name) if name in self._names else np.full(len(self), np.nan)


def _stored_columns(names: list[str]) -> dict[tuple[str, str, int], StoredColumns]:
    columns: dict[tuple[str, str, int], dict[int, str]] = {}
    for name in names:
        parts = re.fullmatch(r"(\d+)/([^/]+)/(\d+)/([^/]+)", name)
        if parts is not None:
            columns.setdefault((parts[2], parts[4], int(parts[1])), {})[int(parts[3])] = name
    lengths = sorted({epochs for _, _, epochs in columns})
    return {
        (dataset, split, epochs): StoredColumns(columns[*run_and_set, epochs])
        for dataset, splits in parquet_schema.SPLITS.items()
        for split, run_and_set in splits.items()
        for epochs in lengths
        if (*run_and_set, epochs) in columns
    }
