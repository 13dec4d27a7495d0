"""Ranges of the values of a benchmark: its file may have a valid checksum and impossible values."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from nas.benchmarks.benchmark import Values
from nas.utils.errors import NasError
from nas.utils.ranges import Range

PERCENT = Range(0, 100)


def check_values(values: Values, allowed: Range, content: str, path: Path) -> Values:
    """Return the values [architectures], NaN for missing ones. Raise NasError if one is outside of its range.

    Args:
        values: values of all architectures.
        allowed: range of a value.
        content: description of the values.
        path: file of the benchmark.
    """
    for value in (np.fmin.reduce(values), np.fmax.reduce(values)) if len(values) else ():
        number = float(value)
        if not math.isnan(number) and number not in allowed:
            raise NasError(
                f"benchmark: {path} has the value {number:g} in {content}, which has {allowed} per architecture. "
                "Convert the published benchmark again."
            )
    return values
