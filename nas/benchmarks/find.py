"""Location of benchmark files in a data directory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pyarrow.parquet as pq

from nas.benchmarks import checksum
from nas.benchmarks.benchmark import Benchmark, TabularBenchmark
from nas.benchmarks.benchmark_spaces import BENCHMARK_SPACES
from nas.benchmarks.converted_table import ConvertedTable, notation_of
from nas.benchmarks.descriptions import STORED_AS, benchmark_directories
from nas.benchmarks.nas_bench_101.benchmark import NasBench101
from nas.benchmarks.nas_bench_201_means import INDEX_AND_NAME, NasBench201Means
from nas.benchmarks.nas_bench_301.benchmark import NasBench301
from nas.benchmarks.parquet_table import open_parquet
from nas.benchmarks.trans_nas_bench_101.benchmark import TransNasBench101
from nas.benchmarks.trans_nas_bench_101.convert import SPACES as TRANS_NAS_BENCH_101
from nas.spaces.darts import notation as darts
from nas.spaces.nas_bench_101 import notation as nas_bench_101
from nas.utils.errors import NasError
from nas.utils.user_path import user_path

READERS: Mapping[str, Callable[[Path, pq.ParquetFile], Benchmark]] = {
    **dict.fromkeys(BENCHMARK_SPACES, ConvertedTable),
    nas_bench_101.NOTATION: NasBench101,
    darts.NOTATION: NasBench301,
    **dict.fromkeys(TRANS_NAS_BENCH_101, TransNasBench101),
}
"""Reader of the converted benchmark of each space, by notation; it takes the path and the open file."""


def find_file(root: str | Path, notation: str) -> Benchmark | None:
    """Implement ``nas.benchmarks.find_benchmark``."""
    notation = STORED_AS.get(notation, notation)
    converted: list[Path] = []
    means: list[Path] = []
    for path in _candidate_files(root, notation):
        names, stored_notation = _read_schema(path, notation)
        if stored_notation == notation:
            converted.append(path)
        elif stored_notation is None and notation == "nas_bench_201" and set(INDEX_AND_NAME) <= set(names):
            means.append(path)
    for file in (converted, means):
        if len(file) > 1:
            raise NasError(f"benchmark: {' and '.join(map(str, file))} are both of {notation}. Keep one of them.")
    if converted:
        return open_benchmark(converted[0])
    return NasBench201Means(means[0]) if means else None


def open_benchmark(path: str | Path) -> Benchmark:
    """Open a converted benchmark or the table of NAS-Bench-201 means. Raise NasError if the file is neither."""
    path = user_path(path)
    file: pq.ParquetFile = open_parquet(path)
    notation = notation_of(file.schema_arrow)
    if notation is None and checksum.stored_checksum(file) is None:
        return NasBench201Means(path, file)
    return READERS.get(notation or "", ConvertedTable)(path, file)


def open_table(path: str | Path) -> TabularBenchmark:
    """Open a benchmark that is a table. Raise NasError if the file is none."""
    benchmark = open_benchmark(path)
    if not isinstance(benchmark, TabularBenchmark):
        raise NasError(f"benchmark: {path} predicts accuracies and contains no table of architectures.")
    return benchmark


def unreadable_files(root: str | Path, notation: str) -> list[Path]:
    """Return the Parquet files that cannot be read in the directories of a space; one of them may be its table."""
    unreadable = []
    for path in _candidate_files(root, notation):
        try:
            open_parquet(path)
        except NasError:
            unreadable.append(path)
    return unreadable


def _candidate_files(root: str | Path, notation: str) -> Iterator[Path]:
    for directory in benchmark_directories(root, notation):
        yield from sorted(path for path in directory.glob("*.parquet") if path.is_file() or not path.exists())


def _read_schema(path: Path, notation: str) -> tuple[list[str], str | None]:
    """Return the columns of a file and its notation; nothing for an unreadable file that seems to be unrelated.

    Raises:
        NasError: if a converted benchmark is so damaged that its notation is unknown.
    """
    try:
        file = open_parquet(path)
    except NasError:
        if notation in (path.parent.name, path.stem):
            raise
        return [], None
    schema, stored = file.schema_arrow, checksum.stored_checksum(file)
    stored_notation = notation_of(schema)
    if stored is not None and stored_notation not in READERS:
        checksum.verify(path, stored)
    return schema.names, stored_notation
