"""The table of a space, wherever it lies under a data directory."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from nas.benchmarks.benchmark import Benchmark
from nas.benchmarks.converted import ConvertedTable, notation_of
from nas.benchmarks.kinds import places
from nas.benchmarks.means import NAMES, MeansTable
from nas.benchmarks.table import open_parquet
from nas.utils.errors import NasError


def find_table(root: str | Path, notation: str) -> Benchmark | None:
    """As ``nas.benchmarks.find``."""
    converted: list[Path] = []
    means: list[Path] = []
    for path in (path for place in places(root, notation) for path in sorted(place.glob("*.parquet"))):
        names, stored = _look(path, notation)
        if stored == notation:
            converted.append(path)
        elif stored is None and notation == "nas_bench_201" and set(NAMES) <= set(names):
            means.append(path)
    for found in (converted, means):
        if len(found) > 1:
            raise NasError(
                f"benchmark: {' and '.join(map(str, found))} are both of {notation}: leave one of them there"
            )
    if converted:
        return ConvertedTable(converted[0])
    return MeansTable(means[0]) if means else None


def open_table(path: str | Path) -> Benchmark:
    """The benchmark in a file, of either sort. Raises NasError where it is neither."""
    path = Path(path).expanduser()
    file: pq.ParquetFile = open_parquet(path)
    return MeansTable(path, file) if notation_of(file.schema_arrow) is None else ConvertedTable(path, file)


def unreadable(root: str | Path, notation: str) -> list[Path]:
    """The Parquet files that cannot be read where a space's table is looked for: one of them may be it."""
    found = []
    for path in (path for place in places(root, notation) for path in sorted(place.glob("*.parquet"))):
        try:
            open_parquet(path)
        except NasError:
            found.append(path)
    return found


def _look(path: Path, notation: str) -> tuple[list[str], str | None]:
    """The columns of a file and the notation that it says it is of; other people's files may be unreadable."""
    try:
        schema = open_parquet(path).schema_arrow
    except NasError:
        if notation in (path.parent.name, path.stem):
            raise
        return [], None
    return schema.names, notation_of(schema)
