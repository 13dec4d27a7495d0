"""Conversion of damaged or incomplete releases, and destinations that cannot be written."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from nas.benchmarks import convert, read_release
from nas.benchmarks.find import open_table
from nas.blackbox.evaluators.benchmark import BenchmarkQuery
from nas.spaces.nas_bench_201.notation import parse
from nas.spaces.nats_size.space import NatsSize
from nas.utils.errors import NasError
from tests.benchmarks.test_convert import refuse_write, small, tss  # noqa: F401, fixtures
from tests.support.nats_tools import (
    CallOnLoad,
    compressed_pickle,
    percentage_of,
    record_content,
    shuffled_names,
    write_directory,
)


def write_deflated(path: Path, damaged: bool) -> None:
    """Write a zip archive like that of torch.save with a compressed pickle, optionally damaged in the middle."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps([str(i * i) for i in range(3000)]))
    if damaged:
        content = bytearray(path.read_bytes())
        content[60:400] = bytes(340)
        path.write_bytes(content)


def test_convert_refuses_unusual_files_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "NAS-Bench-201-v1_1-096897.pth"
    files: dict[str, Callable[[], object]] = {
        "unknown encoding: nope": lambda: torch.save(CallOnLoad(str, b"x", "nope"), path, pickle_protocol=4),
        "Error -3 while decompressing": lambda: write_deflated(path, damaged=True),
        "has no list 'meta_archs'": lambda: write_deflated(path, damaged=False),
    }
    for phrase, make in files.items():
        make()
        assert convert.main([str(path), str(tmp_path / "out.parquet")]) == 1
        erred = capsys.readouterr().err
        assert erred.startswith("error: ") and erred.count("\n") == 1 and phrase in erred, erred


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


def test_converted_table_reports_missing_times(tmp_path: Path) -> None:
    convert.convert(write_without_times(tmp_path), tmp_path / "a.parquet")
    table, g = open_table(tmp_path / "a.parquet"), parse(shuffled_names("nas_bench_201")[3])
    assert table.accuracy(g, "cifar10", "valid", 12, "mean") > 0 and table.simulated_seconds(g, "cifar10", 200) > 0
    with pytest.raises(NasError, match="a.parquet does not contain times of cifar10 after 12 epochs for"):
        table.simulated_seconds(g, "cifar10", 12)
    with pytest.raises(NasError, match="does not contain latency on cifar100 for"):
        table.latency(g, "cifar100")


def test_benchmark_query_best_accuracies_are_of_searched_space(tmp_path: Path) -> None:
    convert.convert(write_directory("nats_size", tmp_path), tmp_path / "sizes.parquet")
    tested = {
        name: percentage_of(index, 90, "cifar10", 777, "ori-test")
        for index, name in enumerate(shuffled_names("nats_size"))
    }
    for widths, best in (((8, 64), max(tested.values())), ((64,), tested["64:64:64:64:64"])):
        evaluator = BenchmarkQuery(NatsSize((3, 32, 32), 10, widths), root=str(tmp_path))
        assert evaluator.best_accuracies()["cifar10/test"] == best
    with pytest.raises(NasError, match=r"8:8:8:8:16 is not in .* has 32 of the 32,768 architectures"):
        BenchmarkQuery(NatsSize((3, 32, 32), 10), root=str(tmp_path))
    with pytest.raises(
        NasError, match="is not an architecture of the size space of NATS-Bench, which has one of 8, 16"
    ):
        BenchmarkQuery(NatsSize((3, 32, 32), 10, (8, 12)), root=str(tmp_path))


def test_convert_checks_destination_before_reading_source(
    tss: Path,  # noqa: F811, the fixture
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(read_release, "read_release", None)
    monkeypatch.setattr(Path, "open", refuse_write)
    assert convert.main([str(tss), str(tmp_path / "out.parquet")]) == 1
    erred = capsys.readouterr().err
    assert erred.startswith("error: ") and erred.endswith("permission denied\n") and str(tmp_path) in erred
