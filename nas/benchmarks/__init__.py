"""Benchmarks: stored or predicted accuracies of architectures trained from scratch."""

from pathlib import Path

from nas.benchmarks.benchmark import Benchmark, TabularBenchmark
from nas.utils.errors import NasError


def find_benchmark(root: str | Path, notation: str) -> Benchmark | None:
    """Return the benchmark of a space's notation in a data directory, None if there is none.

    A converted benchmark precedes the table of NAS-Bench-201 means.

    Raises:
        NasError: if there are several benchmarks of one kind, or a file that bears the notation in its name, or lies in
            a directory of that name, cannot be read.
    """
    from nas.benchmarks.find import find_file  # imports pyarrow, which is slow to load and rarely needed

    return find_file(root, notation)


def find_table(root: str | Path, notation: str) -> TabularBenchmark | None:
    """Return the table of a space's notation in a data directory, None if there is none.

    Raises:
        NasError: as in ``find_benchmark``, or if the benchmark predicts accuracies and stores none.
    """
    benchmark = find_benchmark(root, notation)
    if benchmark is None or isinstance(benchmark, TabularBenchmark):
        return benchmark
    raise NasError(f"benchmark: {benchmark.path} predicts accuracies and contains no table of architectures.")
