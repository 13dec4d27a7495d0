"""Reading of releases: malicious, truncated, damaged and unknown files."""

from __future__ import annotations

import builtins
import bz2
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nas.benchmarks import convert, read_release
from nas.cli.commands.convert import main
from nas.utils.errors import NasError
from tests.support.nats_tools import (
    RELEASE_FORMS,
    SSS,
    TSS,
    CallOnLoad,
    compressed_pickle,
    meta_content,
    record_content,
    shuffled_names,
)

pytestmark = pytest.mark.usefixtures("small_spaces")

MALICIOUS = {
    "os.system": CallOnLoad(os.system, "touch TOUCHED"),
    "eval": CallOnLoad(builtins.eval, "open('TOUCHED', 'w')"),
    "getattr": CallOnLoad(getattr, "", "join"),
    "torch.load": CallOnLoad(torch.load, "TOUCHED"),
    "numpy": CallOnLoad(np.load, "TOUCHED"),
}


@pytest.mark.parametrize("form", ["record", "meta", "single", "zip", "legacy"])
@pytest.mark.parametrize("payload", MALICIOUS)
def test_read_release_refuses_malicious_pickle_without_running_it(
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
    assert main([str(source), "out.parquet", "--partial"]) == 1
    erred = capsys.readouterr().err
    assert f"refers to {name}, which no benchmark needs" in erred.replace("__builtin__", "builtins")
    assert erred.startswith("error: ") and erred.count("\n") == 1
    assert not (tmp_path / "TOUCHED").exists() and not (tmp_path / "out.parquet").exists()


@pytest.mark.parametrize("form", ["record", "single", "zip", "legacy"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_read_release_refuses_truncated_file(
    form: str, share: float, tss_release: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if form == "record":
        source = shutil.copytree(tss_release, tmp_path / tss_release.name)
        path = source / "000007.pickle.pbz2"
    else:
        source = path = RELEASE_FORMS[form][1](tmp_path)
    content = path.read_bytes()
    whole = len(content) - 100 * (form == "legacy")  # its tensors come last and are not read
    path.write_bytes(content[: int(share * whole)])
    destination = tmp_path / "out.parquet"
    destination.write_bytes(b"old")
    assert main([str(source), str(destination), "--force"]) == 1
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
def test_read_release_refuses_other_layouts(
    change: Callable[[Path], None], phrase: str, tss_release: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = shutil.copytree(tss_release, tmp_path / tss_release.name)
    change(source)
    assert main([str(source), str(tmp_path / "out.parquet")]) == 1
    erred = capsys.readouterr().err
    assert erred.startswith("error: ") and erred.count("\n") == 1 and phrase in erred
    assert not (tmp_path / "out.parquet").exists()


def test_read_release_checks_version_before_records(tss_release: Path, tmp_path: Path) -> None:
    source = shutil.copytree(tss_release, tmp_path / tss_release.name)
    (source / "000000.pickle.pbz2").write_bytes(b"never read")
    other_meta(meta_archs=shuffled_names("nas_bench_201")[:-1])(source)
    with pytest.raises(NasError, match="lists 63 architectures"):
        convert.convert(source, tmp_path / "out.parquet")


def test_read_release_refuses_unknown_release(
    tss_release: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    renamed = shutil.copytree(tss_release, tmp_path / "NATS-tss-v1_1-abcde-simple")
    assert main([str(renamed), str(tmp_path / "out.parquet")]) == 1
    assert "is not a supported release. Supported are NATS-tss-v1_0-3ffb9-simple" in capsys.readouterr().err
    assert main([str(renamed), str(tmp_path / "out.parquet"), "--as", f"{TSS}-simple"]) == 0
    assert main([str(renamed), str(tmp_path / "other.parquet"), "--as", SSS]) == 1
    assert "0 of them in the size space of NATS-Bench, which has 32: another version" in capsys.readouterr().err


def write_deflated(path: Path, damaged: bool) -> None:
    """Write a zip archive like that of torch.save with a compressed pickle, optionally damaged in the middle."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps([str(i * i) for i in range(3000)]))
    if damaged:
        content = bytearray(path.read_bytes())
        content[60:400] = bytes(340)
        path.write_bytes(content)


def test_read_release_refuses_unusual_files_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "NAS-Bench-201-v1_1-096897.pth"
    files: dict[str, Callable[[], object]] = {
        "unknown encoding: nope": lambda: torch.save(CallOnLoad(str, b"x", "nope"), path, pickle_protocol=4),
        "Error -3 while decompressing": lambda: write_deflated(path, damaged=True),
        "has no list 'meta_archs'": lambda: write_deflated(path, damaged=False),
    }
    for phrase, make in files.items():
        make()
        assert main([str(path), str(tmp_path / "out.parquet")]) == 1
        erred = capsys.readouterr().err
        assert erred.startswith("error: ") and erred.count("\n") == 1 and phrase in erred, erred


def test_read_release_refuses_bombs_and_special_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A compressed pickle of 8 MB of text in a few bytes, and a named pipe."""
    monkeypatch.setattr(read_release, "SLACK", 1 << 16)
    bomb = tmp_path / "NATS-tss-v1_0-3ffb9.pickle.pbz2"
    bomb.write_bytes(bz2.compress(pickle.dumps("x" * (1 << 23))))
    with pytest.raises(NasError, match="far more than a benchmark"):
        read_release.read_release(bomb, "NATS-tss-v1_0-3ffb9", False, lambda done, total: None)
    pipe = tmp_path / "NATS-sss-v1_0-50262.pickle.pbz2"
    os.mkfifo(pipe)
    with pytest.raises(NasError, match="not a regular file"):
        read_release.read_release(pipe, "NATS-sss-v1_0-50262", False, lambda done, total: None)
