"""nas.benchmarks.checksum: flipped bits of a converted table are found at opening, wherever they are."""

from __future__ import annotations

import logging
import random
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from nas import benchmarks
from nas.benchmarks import checksum, convert
from nas.benchmarks.find import open_table
from nas.utils.errors import NasError
from tests.support.nats_tools import needs_means, shared_data

pytestmark = pytest.mark.usefixtures("small_spaces")


@pytest.fixture
def table(tss_release: Path, tmp_path: Path) -> Path:
    path = tmp_path / "nas_bench_201.parquet"
    convert.convert(tss_release, path)
    return path


def test_find_benchmark_notices_each_flipped_bit(table: Path) -> None:
    content = table.read_bytes()
    assert benchmarks.find_benchmark(table.parent, "nas_bench_201") is not None
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    rng = random.Random(0)
    places = [rng.randrange(4, footer) for _ in range(60)] + [rng.randrange(footer, len(content)) for _ in range(240)]
    for place in places:
        changed = bytearray(content)
        changed[place] ^= 1 << rng.randrange(8)
        table.write_bytes(changed)
        with pytest.raises(NasError, match=r"nas_bench_201.parquet") as caught:
            benchmarks.find_benchmark(table.parent, "nas_bench_201")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("word", [b"nas-benchmark", b"nas-blake2b", b"nas_bench_201", b"200/cifar10/777/ori-test"])
def test_find_benchmark_notices_a_changed_name(word: bytes, table: Path) -> None:
    content, changed = table.read_bytes(), bytes([word[0] ^ 4]) + word[1:]
    other = table.with_name("any name.parquet")
    table.rename(other)
    at = content.rfind(word)
    other.write_bytes(content[:at] + changed + content[at + len(word) :])
    with pytest.raises(NasError, match="any name.parquet is damaged .its checksum does not match.. Convert or copy"):
        benchmarks.find_benchmark(table.parent, "nas_bench_201")


def test_open_table_reads_the_version_without_checksum(
    table: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = pq.read_table(table)
    metadata = {**content.schema.metadata, b"version": b"1"}
    pq.write_table(content.replace_schema_metadata(metadata), table)
    with caplog.at_level(logging.WARNING):
        assert len(open_table(table)) == 64
    assert "has no checksum, so damage is not noticed. Convert the benchmark again." in caplog.text
    metadata[b"version"] = b"2"
    pq.write_table(content.replace_schema_metadata(metadata), table)
    with pytest.raises(NasError, match="is damaged"):
        open_table(table)


def test_encode_table_stores_one_checksum(table: Path) -> None:
    stored = checksum.stored_checksum(pq.ParquetFile(table))
    assert stored is not None and len(stored) == 32 and table.read_bytes().count(stored) == 1
    checksum.verify(table, stored)


@needs_means
@pytest.mark.data
def test_open_table_notices_a_flipped_bit_in_the_table_of_means(tmp_path: Path) -> None:
    content = bytearray((shared_data() / "nas_bench_201" / "nb201.parquet").read_bytes())
    content[1_000_000] ^= 16
    (tmp_path / "means.parquet").write_bytes(content)
    with pytest.raises(NasError, match="means.parquet is damaged .its checksum does not match.. Copy the table again"):
        open_table(tmp_path / "means.parquet")
