"""Location of benchmark tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas import benchmarks
from nas.benchmarks.find import open_table
from nas.utils.errors import NasError
from tests.support.nats_tools import needs_means, shared_data


def test_find_benchmark_ignores_unrelated_files(tmp_path: Path) -> None:
    assert benchmarks.find_benchmark(tmp_path, "nas_bench_201") is None
    assert benchmarks.find_benchmark(tmp_path / "no", "darts") is None
    (tmp_path / "other.parquet").write_bytes(b"not ours")
    assert benchmarks.find_benchmark(tmp_path, "nas_bench_201") is None
    (tmp_path / "nas_bench_201").mkdir()
    spoiled = tmp_path / "nas_bench_201" / "mine.parquet"
    spoiled.write_bytes(b"PAR1 and no more")
    with pytest.raises(NasError, match="mine.parquet cannot be read as Parquet"):
        benchmarks.find_benchmark(tmp_path, "nas_bench_201")
    assert benchmarks.find_benchmark(tmp_path, "nats_size") is None
    with pytest.raises(NasError, match="there is no file"):
        open_table(tmp_path / "missing.parquet")


@needs_means
@pytest.mark.data
def test_find_benchmark_looks_in_root_and_subdirectory(tmp_path: Path) -> None:
    source = shared_data() / "nas_bench_201" / "nb201.parquet"
    (tmp_path / "table.parquet").symlink_to(source)
    found = benchmarks.find_benchmark(tmp_path, "nas_bench_201")
    assert found is not None and len(found) == 15625
    (tmp_path / "nas_bench_201").mkdir()
    (tmp_path / "nas_bench_201" / "again.parquet").symlink_to(source)
    with pytest.raises(NasError, match=r"table.parquet and .*again.parquet are both of nas_bench_201"):
        benchmarks.find_benchmark(tmp_path, "nas_bench_201")
