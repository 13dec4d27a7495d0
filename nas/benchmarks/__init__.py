"""Tabular benchmarks: stored accuracies of architectures trained from scratch."""

from pathlib import Path

from nas.benchmarks.benchmark import Benchmark


def find_benchmark(root: str | Path, notation: str) -> Benchmark | None:
    """Return the benchmark of a space's notation in a data directory, None if there is none.

    A converted benchmark precedes the table of NAS-Bench-201 means.

    Raises:
        NasError: If there are several benchmarks of one kind, or a file that bears the notation in its name, or lies in
            a directory of that name, cannot be read.
    """
    from nas.benchmarks.find import find_table  # imports pyarrow, which is slow to load and rarely needed

    return find_table(root, notation)
