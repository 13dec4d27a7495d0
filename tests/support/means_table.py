"""Table of NAS-Bench-201 means with random numbers, for tests without the published one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nas.benchmarks.benchmark_spaces import BENCHMARK_SPACES
from nas.benchmarks.nas_bench_201_means import COLUMNS, INDEX_AND_NAME


def write_means_table(path: Path) -> Path:
    """Write a table of all architectures with random accuracies between 10 and 90 percent."""
    names = list(BENCHMARK_SPACES["nas_bench_201"].all_native())
    numbers = np.random.default_rng(0).uniform(10, 90, (len(COLUMNS), len(names)))
    columns = dict(zip(sorted(COLUMNS), numbers, strict=True))
    pq.write_table(pa.table({**columns, INDEX_AND_NAME[0]: range(len(names)), INDEX_AND_NAME[1]: names}), path)
    return path
