"""Conversion of published benchmarks: complete and atomic."""

from __future__ import annotations

import errno
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from nas import benchmarks
from nas.architecture.cell import CellGenotype, Genotype, Link
from nas.benchmarks import read_release
from nas.benchmarks.find import open_table
from nas.cli.commands.convert import main
from nas.spaces.nas_bench_201.notation import parse
from nas.utils.errors import NasError
from tests.support.nats_tools import RELEASE_FORMS, SEEDS, SMALL, percentage_of, shuffled_names, write_directory

pytestmark = pytest.mark.usefixtures("small_spaces")


def parse_native(notation: str, name: str) -> Genotype:
    """Return the genotype of a benchmark's native string."""
    if notation == "nas_bench_201":
        return parse(name)
    links = tuple(Link(width, i, i + 1) for i, width in enumerate(name.split(":")))
    return Genotype(notation, {"cell": CellGenotype(links, (5,))})


RUNS = {
    ("cifar10", "valid"): ("cifar10-valid", "x-valid"),
    ("cifar10", "test"): ("cifar10", "ori-test"),
    ("cifar10", "test_of_valid_run"): ("cifar10-valid", "ori-test"),
    ("cifar10", "train"): ("cifar10", "train"),
    ("cifar10", "train_of_valid_run"): ("cifar10-valid", "train"),
    ("cifar100", "valid"): ("cifar100", "x-valid"),
    ("cifar100", "valtest"): ("cifar100", "ori-test"),
    ("imagenet16_120", "test"): ("ImageNet16-120", "x-test"),
    ("imagenet16_120", "train"): ("ImageNet16-120", "train"),
}


@pytest.mark.parametrize("form", RELEASE_FORMS)
def test_convert_keeps_all_numbers(form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    notation, make = RELEASE_FORMS[form]
    destination = tmp_path / "any name.parquet"
    assert main([str(make(tmp_path)), str(destination)]) == 0
    printed = capsys.readouterr().out
    table = benchmarks.find_benchmark(tmp_path, notation)
    assert (
        table is not None
        and table.notation == notation
        and len(table) == len(shuffled_names(notation)) == SMALL[notation].size
    )
    assert f"wrote {destination}: {len(table)} of {len(table)} architectures" in printed
    for index, name in enumerate(shuffled_names(notation)):
        g = parse_native(notation, name)
        assert (table.row(g), table.architecture(index), table.index(index)) == (index, name, index)
        for (dataset, split), (run, part) in RUNS.items():
            for epochs, all_seeds in SEEDS[notation].items():
                seeds = all_seeds[:-1] if index % 3 == 0 and len(all_seeds) > 2 else all_seeds
                expected = [percentage_of(index, epochs, run, seed, part) for seed in seeds]
                assert table.accuracy(g, dataset, split, epochs, "each") == tuple(expected)
                assert table.accuracy(g, dataset, split, epochs, "mean") == pytest.approx(fmean(expected), abs=1e-12)
                assert table.accuracy(g, dataset, split, epochs, seeds[0]) == expected[0]
                assert table.simulated_seconds(g, dataset, epochs) == pytest.approx(epochs * (index + 2) + 0.5 + index)
        assert table.latency(g, "cifar100") == 0.25 + index


def test_convert_accepts_incomplete_directory_with_partial(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, destination = write_directory("nas_bench_201", tmp_path), tmp_path / "part.parquet"
    for index in (0, 5, 6, 40):
        (source / f"{index:06d}.pickle.pbz2").unlink()
    assert main([str(source), str(destination)]) == 1
    erred = capsys.readouterr().err
    assert (
        "lacks 4 of the 64 architectures" in erred and "(000000, 000005, 000006, ...)" in erred and "--partial" in erred
    )
    assert not destination.exists() and erred.count("\n") == 1
    assert main([str(source), str(destination), "--partial"]) == 0
    table = open_table(destination)
    known = shuffled_names("nas_bench_201")
    assert len(table) == 60 and table.index(0) == 1 and table.architecture(0) == known[1]
    expected = percentage_of(41, 200, "cifar100", 777, "x-test")
    assert table.accuracy(parse(known[41]), "cifar100", "test", 200, 777) == expected
    with pytest.raises(NasError, match=r"is not in .*, which has 60 of the 15,625 architectures of NAS-Bench-201"):
        table.row(parse(known[5]))


def test_convert_refuses_unusable_destination(
    tss_release: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    destination = tmp_path / "out.parquet"
    destination.write_bytes(b"mine")
    for given, phrase in (
        ([str(tss_release), str(destination)], "exists. Choose another name, or --force"),
        ([str(tss_release), str(tmp_path)], "is a directory"),
        ([str(tss_release), str(tmp_path / "no" / "out.parquet")], "there is no directory"),
        ([str(tmp_path / "no"), str(tmp_path / "new.parquet")], "does not exist"),
        ([str(tss_release), str(tmp_path / "nas_bench_201")], "must end with .parquet, so that a search finds it"),
    ):
        assert main(given) == 1
        assert phrase in capsys.readouterr().err
    assert destination.read_bytes() == b"mine"
    assert main([str(tss_release), str(destination), "--force"]) == 0
    assert len(open_table(destination)) == 64 and not list(tmp_path.glob(".*"))


def test_convert_keeps_a_file_that_another_process_writes_meanwhile(
    tss_release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    destination, read = tmp_path / "out.parquet", read_release.read_release

    def read_and_write(*arguments: Any) -> Any:
        destination.write_bytes(b"of another process")
        return read(*arguments)

    monkeypatch.setattr(read_release, "read_release", read_and_write)
    assert main([str(tss_release), str(destination)]) == 1
    assert "exists. Choose another name, or --force" in capsys.readouterr().err
    assert destination.read_bytes() == b"of another process" and not list(tmp_path.glob(".*"))
    assert main([str(tss_release), str(destination), "--force"]) == 0
    assert len(open_table(destination)) == 64 and not list(tmp_path.glob(".*"))


def refuse_write(path: Path, mode: str = "r") -> None:
    """Raise the error of a read-only directory."""
    raise PermissionError(errno.EACCES, "Permission denied", str(path))


def test_convert_checks_destination_before_reading_source(
    tss_release: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(read_release, "read_release", None)
    monkeypatch.setattr(Path, "open", refuse_write)
    assert main([str(tss_release), str(tmp_path / "out.parquet")]) == 1
    erred = capsys.readouterr().err
    assert (
        erred.startswith("error: ")
        and erred.endswith("permission denied. Choose another file or directory.\n")
        and str(tmp_path) in erred
    )
