"""Releases that lack something or hold what none would, and destinations."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from nas.benchmarks import convert, sources
from nas.benchmarks.tables import open_table
from nas.blackbox.evaluators.benchmark import BenchmarkQuery
from nas.spaces.nas_bench_201.notation import parse
from nas.spaces.nats_size.space import NatsSize
from nas.utils.errors import NasError
from tests.benchmarks.test_convert import refuse, small, tss  # noqa: F401, fixtures
from tests.support.nats_tools import Run, directory, names, number, pack, record


def deflated(path: Path, spoil: bool) -> None:
    """A zip archive like torch.save's whose pickle is compressed, and perhaps spoiled in its middle."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps([str(i * i) for i in range(3000)]))
    if spoil:
        content = bytearray(path.read_bytes())
        content[60:400] = bytes(340)
        path.write_bytes(content)


def test_what_no_benchmark_would_hold_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "NAS-Bench-201-v1_1-096897.pth"
    made: dict[str, Callable[[], object]] = {
        "unknown encoding: nope": lambda: torch.save(Run(str, b"x", "nope"), path, pickle_protocol=4),
        "Error -3 while decompressing": lambda: deflated(path, spoil=True),
        "has no list 'meta_archs'": lambda: deflated(path, spoil=False),
    }
    for phrase, make in made.items():
        make()
        assert convert.main([str(path), str(tmp_path / "out.parquet")]) == 1
        erred = capsys.readouterr().err
        assert erred.startswith("error: ") and erred.count("\n") == 1 and phrase in erred, erred


def without_times(where: Path) -> Path:
    """A benchmark whose trainings of 12 epochs were not timed, and whose networks were never."""
    source = directory("nas_bench_201", where)
    for index in range(len(names("nas_bench_201"))):
        found = record("nas_bench_201", index)
        for results in found.values():
            for trial in results["all_results"].values():
                trial["latency"] = None
        for trial in found["12"]["all_results"].values():
            trial["train_times"] = trial["eval_times"] = None
        (source / f"{index:06d}.pickle.pbz2").write_bytes(pack(found))
    return source


def test_times_that_a_release_lacks_are_told_as_such(tmp_path: Path) -> None:
    convert.convert(without_times(tmp_path), tmp_path / "a.parquet")
    table, g = open_table(tmp_path / "a.parquet"), parse(names("nas_bench_201")[3])
    assert table.accuracy(g, "cifar10", "valid", 12, "mean") > 0 and table.seconds(g, "cifar10", 200) > 0
    with pytest.raises(NasError, match="a.parquet does not hold times of cifar10 after 12 epochs for"):
        table.seconds(g, "cifar10", 12)
    with pytest.raises(NasError, match="does not hold latency on cifar100 for"):
        table.latency(g, "cifar100")


def test_the_optimum_is_that_of_the_space_that_is_searched(tmp_path: Path) -> None:
    convert.convert(directory("nats_size", tmp_path), tmp_path / "sizes.parquet")
    tested = {name: number(index, 90, "cifar10", 777, "ori-test") for index, name in enumerate(names("nats_size"))}
    for widths, best in (((8, 64), max(tested.values())), ((64,), tested["64:64:64:64:64"])):
        evaluator = BenchmarkQuery(NatsSize((3, 32, 32), 10, widths), root=str(tmp_path))
        assert evaluator.optimum()["cifar10/test"] == best
    with pytest.raises(NasError, match=r"8:8:8:8:16 is not in .* holds 32 of the 32,768 architectures"):
        BenchmarkQuery(NatsSize((3, 32, 32), 10), root=str(tmp_path))
    with pytest.raises(NasError, match="not an architecture of the size space of NATS-Bench, which has one of 8, 16"):
        BenchmarkQuery(NatsSize((3, 32, 32), 10, (8, 12)), root=str(tmp_path))


def test_a_place_that_cannot_be_written_is_told_before_the_source_is_read(
    tss: Path,  # noqa: F811, the fixture
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sources, "read", None)
    monkeypatch.setattr(Path, "open", refuse)
    assert convert.main([str(tss), str(tmp_path / "out.parquet")]) == 1
    erred = capsys.readouterr().err
    assert erred.startswith("error: ") and erred.endswith("permission denied\n") and str(tmp_path) in erred
