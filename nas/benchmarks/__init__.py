"""Tabular benchmarks: what training a genotype gave, looked up."""

from pathlib import Path

from nas.benchmarks.benchmark import Benchmark


def find(root: str | Path, notation: str) -> Benchmark | None:
    """The benchmark of a space's notation under a data directory, None where there is none.

    A converted benchmark goes before the table of means. Raises NasError where there are several of one sort, and
    where a file that is named after the notation, or whose directory is, cannot be read.
    """
    from nas.benchmarks.tables import find_table  # pyarrow takes its time to import, and few runs have a table

    return find_table(root, notation)
