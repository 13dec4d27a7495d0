"""``python -m nas.benchmarks.convert SRC DEST``: a published benchmark as one small file."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from nas.benchmarks import layout, sources
from nas.benchmarks.collect import Columns
from nas.utils.errors import NasError, one_line


def main(arguments: Sequence[str] | None = None) -> int:
    """Converts; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m nas.benchmarks.convert",
        description="A NATS-Bench directory or .pickle.pbz2, or the .pth of NAS-Bench-201, as one Parquet file.",
    )
    parser.add_argument("source", metavar="SRC", type=Path, help="as downloaded, such as NATS-tss-v1_0-3ffb9-simple")
    parser.add_argument("destination", metavar="DEST", type=Path, help="such as data/nas_bench_201.parquet")
    parser.add_argument("--force", action="store_true", help="replace DEST where it exists")
    parser.add_argument("--partial", action="store_true", help="convert what is there where architectures are missing")
    parser.add_argument("--as", dest="name", metavar="NAME", help="the release that SRC is, where it was renamed")
    given = parser.parse_args(arguments)
    try:
        print(convert(given.source, given.destination, given.name, force=given.force, partial=given.partial))
    except NasError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        why = os.strerror(error.errno).lower() if error.errno else one_line(error)
        print(f"error: {error.filename or given.destination}: {why}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"interrupted: {given.destination} was not written", file=sys.stderr)
        return 130
    return 0


def convert(
    source: Path, destination: Path, name: str | None = None, force: bool = False, partial: bool = False
) -> str:
    """Writes ``destination``, whole or not at all, and says what is in it.

    Raises:
        NasError: where the source cannot be read or is incomplete, or the destination exists or cannot be written.
    """
    source, destination = source.expanduser(), destination.expanduser()
    if destination.is_dir():
        raise NasError(f"DEST: {destination} is a directory; name a file in it, such as nas_bench_201.parquet")
    if destination.exists() and not force:
        raise NasError(f"DEST: {destination} exists; choose another name, or --force to replace it")
    if not destination.parent.is_dir():
        raise NasError(f"DEST: there is no directory {destination.parent}")
    if destination.suffix != ".parquet":
        raise NasError(f"DEST: {destination} is not named *.parquet, by which a search finds it")
    write(pa.table({}), destination, keep=False)  # what cannot be written is told before minutes of reading
    release = sources.release(source, name)
    bar = Progress(
        *(TextColumn(release), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    with bar:
        task = bar.add_task(release)
        columns = sources.read(source, release, partial, lambda n, total: bar.update(task, completed=n, total=total))
    table = to_table(columns, release)
    write(table, destination)
    return f"wrote {destination}: {_contents(columns)}, {destination.stat().st_size / 1e6:.1f} MB, from {release}"


def to_table(columns: Columns, release: str) -> pa.Table:
    """The columns as they lie in the file, with format, version, notation and source in the metadata."""
    rows = np.array(sorted(columns.names))
    arrays = {
        layout.INDEX: pa.array(rows.astype(np.int32)),
        layout.ARCHITECTURE: pa.array([columns.names[index] for index in rows.tolist()]),
        **{name: pa.array(columns.values[name][rows], from_pandas=True) for name in sorted(columns.values, key=_order)},
    }
    metadata = {
        "format": layout.FORMAT,
        "version": layout.VERSION,
        "notation": columns.kind.notation,
        "source": release,
    }
    return pa.table(arrays).replace_schema_metadata(metadata)


def write(table: pa.Table, destination: Path, keep: bool = True) -> None:
    """Writes beside the destination and moves there, so that an old file stays whole if this fails.

    Without ``keep`` nothing is moved, nor left: it is tried whether that can be written.
    """
    temporary = destination.with_name(f".{destination.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            pq.write_table(table, file, compression="zstd", use_dictionary=False)
            file.flush()
            os.fsync(file.fileno())
        if keep:
            os.replace(temporary, destination)
    finally:
        temporary.unlink(missing_ok=True)


def _order(column: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (0, part) for part in column.split("/")]


def _contents(columns: Columns) -> str:
    trainings: dict[int, set[int]] = {}
    for name in columns.values:
        parts = re.fullmatch(r"(\d+)/[^/]+/(\d+)/.+", name)
        if parts is not None:
            trainings.setdefault(int(parts[1]), set()).add(int(parts[2]))
    told = "; ".join(f"after {n} epochs seeds {', '.join(map(str, sorted(trainings[n])))}" for n in sorted(trainings))
    return f"{len(columns.names):,} of {columns.kind.size:,} architectures of {columns.kind.title} ({told})"


if __name__ == "__main__":
    sys.exit(main())
