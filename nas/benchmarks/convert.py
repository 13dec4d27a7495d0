"""Conversion of a published benchmark to one Parquet file."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn

from nas.benchmarks import hw_nas_bench, parquet_schema, read_release
from nas.benchmarks.checksum import encode_table
from nas.benchmarks.nas_bench_101 import convert as nas_bench_101
from nas.benchmarks.nas_bench_301.convert import has_models, read_surrogates
from nas.benchmarks.records import RecordColumns
from nas.benchmarks.trans_nas_bench_101 import convert as trans_nas_bench_101
from nas.benchmarks.trans_nas_bench_101.tasks import RELEASE as TRANS_NAS_BENCH_101
from nas.utils.atomic_write import publish, temporary_file
from nas.utils.errors import NasError
from nas.utils.progress_bar import progress_bar
from nas.utils.user_path import user_path

Reader = Callable[[Path, bool, read_release.Progress], tuple[pa.Table, str]]
"""Reads a source, partial or not, and reports progress; returns a table and a description of its contents."""


def convert(
    source: Path,
    destination: Path,
    name: str | None = None,
    force: bool = False,
    partial: bool = False,
    space: str | None = None,
) -> str:
    """Write ``destination`` atomically and return a summary of its contents.

    Args:
        source: published file or directory.
        destination: Parquet file to write.
        name: release of a renamed source, None to use the name of the source.
        force: replace an existing destination.
        partial: accept missing architectures.
        space: notation of the space of a source that contains several.

    Raises:
        NasError: if the source cannot be read or is incomplete, or the destination exists or cannot be written.
    """
    source, destination = user_path(source), user_path(destination)
    if destination.is_dir():
        raise NasError(f"DEST: {destination} is a directory. Name a file in it, such as nas_bench_201.parquet.")
    if destination.exists() and not force:
        raise _exists(destination)
    if not destination.parent.is_dir():
        raise NasError(f"DEST: there is no directory {destination.parent}")
    if destination.suffix != ".parquet":
        raise NasError(f"DEST: {destination} must end with .parquet, so that a search finds it.")
    write_table(pa.table({}), destination, keep=False)  # fail before minutes of reading
    release, read = find_reader(source, name, space)
    bar = progress_bar(TextColumn(release), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with bar:
        task = bar.add_task(release)
        table, contents = read(source, partial, lambda n, total: bar.update(task, completed=n, total=total))
    write_table(table, destination, replace=force)
    return f"wrote {destination}: {contents}, {destination.stat().st_size / 1e6:.1f} MB, from {release}"


def find_reader(source: Path, name: str | None, space: str | None = None) -> tuple[str, Reader]:
    """Return the release of a source and its reader. Raise NasError if it is not supported.

    Args:
        source: published file or directory.
        name: release of a renamed source, None to use the name of the source.
        space: notation of the space of a source that contains several.
    """
    release = source.name if has_models(source) else read_release.release_name(source, name)
    if release == TRANS_NAS_BENCH_101:
        return release, lambda path, partial, progress: trans_nas_bench_101.read_release(path, space, partial, progress)
    if space is not None:
        raise NasError(f"--space={space}: {source} has one space. Remove --space.")
    if has_models(source):
        return release, lambda path, partial, progress: _read_models(path, name, partial, progress)
    if release == hw_nas_bench.RELEASE:
        return release, hw_nas_bench.read_release
    if release in nas_bench_101.RELEASES:
        return release, lambda path, partial, progress: nas_bench_101.read_release(path, release, partial, progress)

    def read(path: Path, partial: bool, progress: read_release.Progress) -> tuple[pa.Table, str]:
        columns = read_release.read_release(path, release, partial, progress)
        return to_table(columns, release), _contents(columns)

    return release, read


def _read_models(
    source: Path, name: str | None, partial: bool, progress: read_release.Progress
) -> tuple[pa.Table, str]:
    for option, given in ((f"--as={name}", name is not None), ("--partial", partial)):
        if given:
            raise NasError(
                f"{option}: {source} contains the models of NAS-Bench-301, which are recognized by their names and "
                f"converted as they are. Remove {option.partition('=')[0]}."
            )
    return read_surrogates(source, progress)


def to_table(columns: RecordColumns, release: str) -> pa.Table:
    """Return the columns as a table, with format, version, notation and source in the metadata."""
    rows = np.array(sorted(columns.names))
    names = sorted(columns.values, key=_order)
    arrays = {
        parquet_schema.INDEX: pa.array(rows.astype(np.int32)),
        parquet_schema.ARCHITECTURE: pa.array([columns.names[index] for index in rows.tolist()]),
        **{name: pa.array(columns.values[name][rows], from_pandas=True) for name in names},
    }
    metadata = {
        "format": parquet_schema.FORMAT,
        "version": parquet_schema.VERSION,
        "notation": columns.space.notation,
        "source": release,
    }
    return pa.table(arrays).replace_schema_metadata(metadata)


def write_table(table: pa.Table, destination: Path, keep: bool = True, replace: bool = True) -> None:
    """Write a temporary file beside the destination and rename it, so that a failure keeps the old file.

    Args:
        table: content.
        destination: the file.
        keep: False to delete the temporary file instead, a test of whether the destination can be written.
        replace: whether a file replaces an existing destination, such as one that another process has just written.

    Raises:
        NasError: if the destination exists and must not be replaced.
    """
    with temporary_file(destination, encode_table(table)) as temporary:
        if keep and replace:
            os.replace(temporary, destination)
        elif keep and not publish(temporary, destination):
            raise _exists(destination)


def _exists(destination: Path) -> NasError:
    return NasError(f"DEST: {destination} exists. Choose another name, or --force to replace it.")


def _order(column: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (0, part) for part in column.split("/")]


def _contents(columns: RecordColumns) -> str:
    seeds: dict[int, set[int]] = {}
    for name in columns.values:
        parts = re.fullmatch(r"(\d+)/[^/]+/(\d+)/.+", name)
        if parts is not None:
            seeds.setdefault(int(parts[1]), set()).add(int(parts[2]))
    trainings = "; ".join(f"{n} epochs with seeds {', '.join(map(str, sorted(seeds[n])))}" for n in sorted(seeds))
    return f"{len(columns.names):,} of {columns.space.size:,} architectures of {columns.space.title} ({trainings})"
