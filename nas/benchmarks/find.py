"""Location of benchmark tables in a data directory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

from nas.benchmarks import checksum
from nas.benchmarks.benchmark import Benchmark
from nas.benchmarks.benchmark_spaces import BENCHMARK_SPACES, table_directories
from nas.benchmarks.converted_table import ConvertedTable, notation_of
from nas.benchmarks.nas_bench_201_means import INDEX_AND_NAME, NasBench201Means
from nas.benchmarks.parquet_table import open_parquet
from nas.utils.errors import NasError


def find_table(root: str | Path, notation: str) -> Benchmark | None:
    """Implement ``nas.benchmarks.find_benchmark``."""
    converted: list[Path] = []
    means: list[Path] = []
    for path in _candidate_files(root, notation):
        names, stored_notation = _read_schema(path, notation)
        if stored_notation == notation:
            converted.append(path)
        elif stored_notation is None and notation == "nas_bench_201" and set(INDEX_AND_NAME) <= set(names):
            means.append(path)
    for found in (converted, means):
        if len(found) > 1:
            raise NasError(f"benchmark: {' and '.join(map(str, found))} are both of {notation}. Keep one of them.")
    if converted:
        return ConvertedTable(converted[0])
    return NasBench201Means(means[0]) if means else None


def open_table(path: str | Path) -> Benchmark:
    """Open a converted benchmark or the table of NAS-Bench-201 means. Raise NasError if the file is neither."""
    path = Path(path).expanduser()
    file: pq.ParquetFile = open_parquet(path)
    converted = notation_of(file.schema_arrow) is not None or checksum.stored_checksum(file) is not None
    return ConvertedTable(path, file) if converted else NasBench201Means(path, file)


def unreadable_files(root: str | Path, notation: str) -> list[Path]:
    """Return the Parquet files that cannot be read in the directories of a space; one of them may be its table."""
    found = []
    for path in _candidate_files(root, notation):
        try:
            open_parquet(path)
        except NasError:
            found.append(path)
    return found


def _candidate_files(root: str | Path, notation: str) -> Iterator[Path]:
    for directory in table_directories(root, notation):
        yield from sorted(path for path in directory.glob("*.parquet") if path.is_file() or not path.exists())


def _read_schema(path: Path, notation: str) -> tuple[list[str], str | None]:
    """Return the columns of a file and its notation; nothing for an unreadable file that seems to be unrelated.

    Raises:
        NasError: If a converted benchmark is so damaged that its notation is unknown.
    """
    try:
        file = open_parquet(path)
    except NasError:
        if notation in (path.parent.name, path.stem):
            raise
        return [], None
    schema, stored = file.schema_arrow, checksum.stored_checksum(file)
    found = notation_of(schema)
    if stored is not None and found not in BENCHMARK_SPACES:
        checksum.verify(path, stored)
    return schema.names, found
