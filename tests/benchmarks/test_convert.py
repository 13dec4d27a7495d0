"""Conversion of published benchmarks: complete, atomic, and without running code of the pickles."""

from __future__ import annotations

import builtins
import errno
import io
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest
import torch

from nas import benchmarks
from nas.architecture.cell import CellGenotype, Genotype, Link
from nas.benchmarks import convert, read_release
from nas.benchmarks.find import open_table
from nas.benchmarks.safe_unpickle import SafeUnpickler
from nas.spaces.nas_bench_201.notation import parse
from nas.utils.errors import NasError
from tests.support.nats_tools import (
    SEEDS,
    SMALL,
    SSS,
    TSS,
    CallOnLoad,
    compressed_pickle,
    meta_content,
    percentage_of,
    record_content,
    shuffled_names,
    write_directory,
    write_single_file,
    write_torch_file,
)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use small spaces."""
    monkeypatch.setattr(read_release, "BENCHMARK_SPACES", SMALL)


@pytest.fixture(scope="module")
def tss(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_directory("nas_bench_201", tmp_path_factory.mktemp("tss"))


def genotype(notation: str, name: str) -> Genotype:
    """Return the genotype of a benchmark's native string."""
    if notation == "nas_bench_201":
        return parse(name)
    links = tuple(Link(width, i, i + 1) for i, width in enumerate(name.split(":")))
    return Genotype(notation, {"cell": CellGenotype(links, (5,))})


FORMS: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "directory": ("nas_bench_201", lambda parent: write_directory("nas_bench_201", parent)),
    "sizes": ("nats_size", lambda parent: write_directory("nats_size", parent)),
    "single": ("nas_bench_201", write_single_file),
    "zip": ("nas_bench_201", lambda parent: write_torch_file(parent, True)),
    "legacy": ("nas_bench_201", lambda parent: write_torch_file(parent, False)),
}
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


@pytest.mark.parametrize("form", FORMS)
def test_convert_keeps_all_numbers(form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    notation, make = FORMS[form]
    destination = tmp_path / "any name.parquet"
    assert convert.main([str(make(tmp_path)), str(destination)]) == 0
    printed = capsys.readouterr().out
    table = benchmarks.find_benchmark(tmp_path, notation)
    assert (
        table is not None
        and table.notation == notation
        and len(table) == len(shuffled_names(notation)) == SMALL[notation].size
    )
    assert f"wrote {destination}: {len(table)} of {len(table)} architectures" in printed
    for index, name in enumerate(shuffled_names(notation)):
        g = genotype(notation, name)
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


def test_converted_table_reports_missing_seed(tss: Path, tmp_path: Path) -> None:
    convert.convert(tss, tmp_path / "a.parquet")
    table = open_table(tmp_path / "a.parquet")
    g = parse(shuffled_names("nas_bench_201")[3])
    with pytest.raises(
        NasError, match=r"does not contain cifar10 test after 200 epochs with seed 999 for \|.*777, 888"
    ):
        table.accuracy(g, "cifar10", "test", 200, 999)
    assert np.isnan(table.accuracies("cifar10", "test", 200, 999)[3])


def test_convert_accepts_incomplete_directory_with_partial(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, destination = write_directory("nas_bench_201", tmp_path), tmp_path / "part.parquet"
    for index in (0, 5, 6, 40):
        (source / f"{index:06d}.pickle.pbz2").unlink()
    assert convert.main([str(source), str(destination)]) == 1
    erred = capsys.readouterr().err
    assert (
        "lacks 4 of the 64 architectures" in erred and "(000000, 000005, 000006, ...)" in erred and "--partial" in erred
    )
    assert not destination.exists() and erred.count("\n") == 1
    assert convert.main([str(source), str(destination), "--partial"]) == 0
    table = open_table(destination)
    known = shuffled_names("nas_bench_201")
    assert len(table) == 60 and table.index(0) == 1 and table.architecture(0) == known[1]
    expected = percentage_of(41, 200, "cifar100", 777, "x-test")
    assert table.accuracy(parse(known[41]), "cifar100", "test", 200, 777) == expected
    with pytest.raises(NasError, match=r"is not in .*, which has 60 of the 15,625 architectures of NAS-Bench-201"):
        table.row(parse(known[5]))


MALICIOUS = {
    "os.system": CallOnLoad(os.system, "touch TOUCHED"),
    "eval": CallOnLoad(builtins.eval, "open('TOUCHED', 'w')"),
    "getattr": CallOnLoad(getattr, "", "join"),
    "torch.load": CallOnLoad(torch.load, "TOUCHED"),
    "numpy": CallOnLoad(np.load, "TOUCHED"),
}


@pytest.mark.parametrize("form", ["record", "meta", "single", "zip", "legacy"])
@pytest.mark.parametrize("payload", MALICIOUS)
def test_convert_refuses_malicious_pickle_without_running_it(
    payload: str, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    call = MALICIOUS[payload].call
    name = f"{'posix' if call is os.system else call.__module__}.{call.__name__}"
    evil = {**meta_content("nas_bench_201"), "arch2infos": {0: MALICIOUS[payload]}}
    if form in ("record", "meta"):
        source = tmp_path / f"{TSS}-simple"
        source.mkdir()
        (source / "meta.pickle.pbz2").write_bytes(
            compressed_pickle(evil if form == "meta" else meta_content("nas_bench_201"))
        )
        (source / "000000.pickle.pbz2").write_bytes(compressed_pickle({"12": MALICIOUS[payload]}))
    elif form == "single":
        source = tmp_path / f"{TSS}.pickle.pbz2"
        source.write_bytes(compressed_pickle(evil))
    else:
        source = tmp_path / "NAS-Bench-201-v1_0-e61699.pth"
        torch.save(evil, source, _use_new_zipfile_serialization=form == "zip")
    assert convert.main([str(source), "out.parquet", "--partial"]) == 1
    erred = capsys.readouterr().err
    assert f"refers to {name}, which no benchmark needs" in erred.replace("__builtin__", "builtins")
    assert erred.startswith("error: ") and erred.count("\n") == 1
    assert not (tmp_path / "TOUCHED").exists() and not (tmp_path / "out.parquet").exists()


@pytest.mark.parametrize("form", ["record", "single", "zip", "legacy"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_convert_refuses_truncated_file(
    form: str, share: float, tss: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if form == "record":
        source = shutil.copytree(tss, tmp_path / tss.name)
        path = source / "000007.pickle.pbz2"
    else:
        source = path = FORMS[form][1](tmp_path)
    content = path.read_bytes()
    whole = len(content) - 100 * (form == "legacy")  # its tensors come last and are not read
    path.write_bytes(content[: int(share * whole)])
    destination = tmp_path / "out.parquet"
    destination.write_bytes(b"old")
    assert convert.main([str(source), str(destination), "--force"]) == 1
    erred = capsys.readouterr().err
    assert erred.startswith("error: ") and erred.count("\n") == 1 and str(path) in erred and "cut off" in erred
    assert destination.read_bytes() == b"old" and not list(tmp_path.glob(".*"))


def damage_record(change: Callable[[Any], Any]) -> Callable[[Path], None]:
    """Return a function that changes the first record of a directory."""

    def change_first(source: Path) -> None:
        (source / "000000.pickle.pbz2").write_bytes(compressed_pickle(change(record_content("nas_bench_201", 0))))

    return change_first


def without(key: str) -> Callable[[Any], Any]:
    """Return a function that deletes a key from all trainings of a record."""

    def change(found: Any) -> Any:
        for results in found.values():
            for training in results["all_results"].values():
                del training[key]
        return found

    return change


def other_meta(**changes: Any) -> Callable[[Path], None]:
    """Return a function that changes the meta file of a directory."""
    content = compressed_pickle({**meta_content("nas_bench_201"), **changes})
    return lambda source: (source / "meta.pickle.pbz2").write_bytes(content) and None


@pytest.mark.parametrize(
    ("change", "phrase"),
    [
        (
            damage_record(without("eval_acc1es")),
            "another layout than the benchmark's records (KeyError: 'eval_acc1es')",
        ),
        (damage_record(without("epochs")), "another layout"),
        (damage_record(lambda found: [found]), "is not a record of a benchmark, but a list"),
        (damage_record(lambda found: {**found, "12": {**found["12"], "arch_index": 64}}), "architecture 64"),
        (damage_record(lambda found: {**found, "12": {**found["12"], "arch_str": "|x~0|"}}), "another layout"),
        (
            damage_record(lambda found: {**found, "12": {**found["12"], "dataset_seed": {"mnist": [1]}}}),
            "data set 'mnist'",
        ),
        (other_meta(meta_archs=shuffled_names("nas_bench_201")[:-1]), "lists 63 architectures"),
        (other_meta(meta_archs=["|x~0|"] * 64), "0 of them in NAS-Bench-201"),
        (other_meta(meta_archs=shuffled_names("nas_bench_201")[::-1]), "its record is of"),
        (other_meta(meta_archs=None), "has no list 'meta_archs'"),
    ],
)
def test_convert_refuses_other_layouts(
    change: Callable[[Path], None], phrase: str, tss: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = shutil.copytree(tss, tmp_path / tss.name)
    change(source)
    assert convert.main([str(source), str(tmp_path / "out.parquet")]) == 1
    erred = capsys.readouterr().err
    assert erred.startswith("error: ") and erred.count("\n") == 1 and phrase in erred
    assert not (tmp_path / "out.parquet").exists()


def test_convert_checks_version_before_records(tss: Path, tmp_path: Path) -> None:
    source = shutil.copytree(tss, tmp_path / tss.name)
    (source / "000000.pickle.pbz2").write_bytes(b"never read")
    other_meta(meta_archs=shuffled_names("nas_bench_201")[:-1])(source)
    with pytest.raises(NasError, match="lists 63 architectures"):
        convert.convert(source, tmp_path / "out.parquet")


def test_convert_refuses_unknown_release(tss: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    renamed = shutil.copytree(tss, tmp_path / "NATS-tss-v1_1-abcde-simple")
    assert convert.main([str(renamed), str(tmp_path / "out.parquet")]) == 1
    assert "is not a supported release. Supported are NATS-tss-v1_0-3ffb9-simple" in capsys.readouterr().err
    assert convert.main([str(renamed), str(tmp_path / "out.parquet"), "--as", f"{TSS}-simple"]) == 0
    assert convert.main([str(renamed), str(tmp_path / "other.parquet"), "--as", SSS]) == 1
    assert "0 of them in the size space of NATS-Bench, which has 32: another version" in capsys.readouterr().err


def test_convert_refuses_unusable_destination(tss: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    destination = tmp_path / "out.parquet"
    destination.write_bytes(b"mine")
    for given, phrase in (
        ([str(tss), str(destination)], "exists. Choose another name, or --force"),
        ([str(tss), str(tmp_path)], "is a directory"),
        ([str(tss), str(tmp_path / "no" / "out.parquet")], "there is no directory"),
        ([str(tmp_path / "no"), str(tmp_path / "new.parquet")], "does not exist"),
        ([str(tss), str(tmp_path / "nas_bench_201")], "must end with .parquet, so that a search finds it"),
    ):
        assert convert.main(given) == 1
        assert phrase in capsys.readouterr().err
    assert destination.read_bytes() == b"mine"
    assert convert.main([str(tss), str(destination), "--force"]) == 0
    assert len(open_table(destination)) == 64 and not list(tmp_path.glob(".*"))


def refuse_write(path: Path, mode: str = "r") -> None:
    """Raise the error of a read-only directory."""
    raise PermissionError(errno.EACCES, "Permission denied", str(path))


def test_open_table_refuses_other_versions(tss: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.benchmarks.parquet_schema.VERSION", "2")
    convert.convert(tss, tmp_path / "a.parquet")
    monkeypatch.undo()
    with pytest.raises(NasError, match="has version 2 and notation 'nas_bench_201'; supported is version 1"):
        open_table(tmp_path / "a.parquet")


@pytest.mark.parametrize("dtype", ["<f8", ">f8", "<f4", "<i8", ">i4", "|b1", "|u1"])
@pytest.mark.parametrize("protocol", range(6))
def test_safe_unpickler_reads_numpy_scalars(dtype: str, protocol: int) -> None:
    content = pickle.dumps(np.array([1], dtype)[0], protocol)
    assert SafeUnpickler(io.BytesIO(content), "here").load() == 1
