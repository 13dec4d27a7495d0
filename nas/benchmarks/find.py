"""Location of benchmark tables in a data directory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

from nas.benchmarks.benchmark import Benchmark
from nas.benchmarks.benchmark_spaces import table_directories
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
    return NasBench201Means(path, file) if notation_of(file.schema_arrow) is None else ConvertedTable(path, file)


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
        yield from sorted(directory.glob("*.parquet"))


def _read_schema(path: Path, notation: str) -> tuple[list[str], str | None]:
    """Return the columns of a file and its notation; nothing for an unreadable file that seems to be unrelated."""
    try:
        schema = open_parquet(path).schema_arrow
    except NasError:
        if notation in (path.parent.name, path.stem):
            raise
        return [], None
    return schema.names, notation_of(schema)
