"""Tables of converted benchmarks: missing numbers, other versions, original records."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.benchmarks import convert
from nas.benchmarks.find import open_table
from nas.spaces.nas_bench_201.notation import edge_ops, from_index, parse
from nas.utils.errors import NasError
from tests.support.nats_tools import (
    MEANS,
    RECORDS_ONLY,
    SECONDS,
    compressed_pickle,
    record_content,
    shared_data,
    shuffled_names,
    widths_genotype,
    write_directory,
)


@pytest.mark.usefixtures("small_spaces")
def test_converted_table_reports_missing_seed(tss_release: Path, tmp_path: Path) -> None:
    convert.convert(tss_release, tmp_path / "a.parquet")
    table = open_table(tmp_path / "a.parquet")
    g = parse(shuffled_names("nas_bench_201")[3])
    with pytest.raises(
        NasError, match=r"does not contain cifar10 test after 200 epochs with seed 999 for \|.*777, 888"
    ):
        table.accuracy(g, "cifar10", "test", 200, 999)
    assert np.isnan(table.accuracies("cifar10", "test", 200, 999)[3])


@pytest.mark.usefixtures("small_spaces")
def test_queries_take_strings_and_indices(tss_release: Path, tmp_path: Path) -> None:
    convert.convert(tss_release, tmp_path / "a.parquet")
    table = open_table(tmp_path / "a.parquet")
    text = shuffled_names("nas_bench_201")[3]
    genotype = parse(text)
    assert table.index(table.row(genotype)) == 3
    edges = dict(zip(("0_1", "0_2", "1_2", "0_3", "1_3", "2_3"), edge_ops(genotype), strict=True))
    for given in (text, f"Structure(4 nodes with {text})", 3, np.int64(3), edges):
        assert table.genotype(given) == genotype and table.row(given) == table.row(genotype)
        for seed in ("mean", "each", 777):
            expected = table.accuracy(genotype, "cifar10", "test", 200, seed)
            assert table.accuracy(given, "cifar10", "test", 200, seed) == expected
        assert table.simulated_seconds(given, "cifar10", 200) == table.simulated_seconds(genotype, "cifar10", 200)
        assert table.params_and_macs(given, "cifar10") == table.params_and_macs(genotype, "cifar10")
        assert table.latency(given, "cifar10") == table.latency(genotype, "cifar10")


@pytest.mark.usefixtures("small_spaces")
def test_queries_refuse_other_values_in_one_line(tss_release: Path, tmp_path: Path) -> None:
    convert.convert(tss_release, tmp_path / "a.parquet")
    table = open_table(tmp_path / "a.parquet")
    last = len(table) - 1
    refused: list[tuple[Any, str]] = [
        (last + 1, f"index={last + 1}: .* has the indices 0 to {last} of"),
        (-1, "index=-1: "),
        ("DARTS_V2", "genotype=DARTS_V2: not a genotype"),
        ("8:16:24:32:40", "a genotype of space 'nats_size' .* is not in"),
        ("|none~0|", "Write three nodes"),
        *(
            (value, "not an architecture. Give a Genotype, an index or a string")
            for value in (None, True, 1.5, {}, [1])
        ),
    ]
    for given, message in refused:
        for query in (
            lambda value: table.accuracy(value, "cifar10", "test", 200, "mean"),
            lambda value: table.params_and_macs(value, "cifar10"),
        ):
            with pytest.raises(NasError, match=message) as caught:
                query(given)
            assert "\n" not in str(caught.value)
    for row in (-1, last + 1):
        for read in (table.architecture, table.index):
            with pytest.raises(NasError, match=f"row={row}: .* has the rows 0 to {last}"):
                read(row)


def write_without_times(parent: Path) -> Path:
    """Write a benchmark without times of the 12-epoch trainings and without latencies."""
    source = write_directory("nas_bench_201", parent)
    for index in range(len(shuffled_names("nas_bench_201"))):
        found = record_content("nas_bench_201", index)
        for results in found.values():
            for training in results["all_results"].values():
                training["latency"] = None
        for training in found["12"]["all_results"].values():
            training["train_times"] = training["eval_times"] = None
        (source / f"{index:06d}.pickle.pbz2").write_bytes(compressed_pickle(found))
    return source


@pytest.mark.usefixtures("small_spaces")
def test_converted_table_reports_missing_times(tmp_path: Path) -> None:
    convert.convert(write_without_times(tmp_path), tmp_path / "a.parquet")
    table, g = open_table(tmp_path / "a.parquet"), parse(shuffled_names("nas_bench_201")[3])
    assert table.accuracy(g, "cifar10", "valid", 12, "mean") > 0 and table.simulated_seconds(g, "cifar10", 200) > 0
    with pytest.raises(NasError, match="a.parquet does not contain times of cifar10 after 12 epochs for"):
        table.simulated_seconds(g, "cifar10", 12)
    with pytest.raises(NasError, match="does not contain latency on cifar100 for"):
        table.latency(g, "cifar100")


@pytest.mark.usefixtures("small_spaces")
def test_open_table_refuses_other_versions(tss_release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.benchmarks.parquet_schema.VERSION", "3")
    convert.convert(tss_release, tmp_path / "a.parquet")
    monkeypatch.undo()
    with pytest.raises(NasError, match="has version 3 and notation 'nas_bench_201'; supported is version 2"):
        open_table(tmp_path / "a.parquet")


RECORDS = Path(os.environ.get("NAS_NATS_BENCH") or shared_data() / "nats_bench")


@pytest.mark.data
@pytest.mark.skipif(
    not (RECORDS / "NATS-tss-v1_0-3ffb9-simple").is_dir(),
    reason=f"no NATS-tss-v1_0-3ffb9-simple in {RECORDS} ($NAS_NATS_BENCH)",
)
def test_converted_original_records_equal_published_numbers(tmp_path: Path) -> None:
    convert.convert(RECORDS / "NATS-tss-v1_0-3ffb9-simple", tmp_path / "tss_release.parquet", partial=True)
    table = open_table(tmp_path / "tss_release.parquet")
    for index, dataset, split, epochs, expected in [*MEANS, *RECORDS_ONLY]:
        g = from_index(index)
        assert table.accuracy(g, dataset, split, epochs, "mean") == pytest.approx(expected, abs=6e-5)
    for index, dataset, epochs, seconds in SECONDS:
        assert table.simulated_seconds(from_index(index), dataset, epochs) == pytest.approx(seconds, rel=1e-7)
    g = from_index(0)
    assert table.latency(g, "cifar10") == pytest.approx(0.013936, abs=1e-6)
    assert len(table.accuracy(g, "cifar10", "test", 200, "each")) == 3
    convert.convert(RECORDS / "NATS-sss-v1_0-50262-simple", tmp_path / "sss.parquet", partial=True)
    table = open_table(tmp_path / "sss.parquet")
    assert table.accuracy(widths_genotype("8:8:8:8:8"), "cifar10", "test", 90, "mean") == pytest.approx(79.79)
    g = widths_genotype("8:8:40:32:40")
    assert table.index(table.row(g)) == 284
    assert table.accuracy(g, "cifar10", "test", 90, 777) == pytest.approx(89.51)
    assert table.accuracy(g, "cifar100", "valid", 90, "mean") == pytest.approx(62.78)
    assert table.accuracy(g, "cifar100", "test", 90, "mean") == pytest.approx(62.70)
