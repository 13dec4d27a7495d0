"""Tabular benchmarks: what training a genotype gave, looked up."""

from nas.benchmarks.find import find_table as find

__all__ = ["find"]
