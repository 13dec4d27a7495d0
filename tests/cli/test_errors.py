"""One line for an error of the user, and files that survive a full disk."""

from __future__ import annotations

import errno
import json
import os
import subprocess
from pathlib import Path

import pytest

import nas.spaces.genotype_file
from nas.cli.errors import explain
from nas.cli.run_dir.failure import report_failure
from nas.utils.atomic_write import write_atomically
from tests.support.error_tools import SEARCH, run, snapshot, unfinished


def test_explain_names_a_full_disk_and_the_checkpoint_stays(
    short_search: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = unfinished(short_search, tmp_path / "run")
    before = snapshot(directory)

    def full(file: int) -> None:
        if os.readlink(f"/proc/self/fd/{file}").find(".last.ckpt.") >= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(nas.spaces.genotype_file.os, "fsync", full)
        run("search", f"ckpt_path={directory}").refused("no space left on device", "the last complete epoch is kept")
    after = snapshot(directory)
    assert after["checkpoints/last.ckpt"] == before["checkpoints/last.ckpt"] and after.keys() == before.keys()
    run("search", f"ckpt_path={directory}").succeeded()


def test_explain_names_no_checkpoint_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(nas.spaces.genotype_file.os, "fsync", full)
    found = run("search", *SEARCH, f"hydra.run.dir={tmp_path}/run")
    found.refused("no space left on device", "nothing to resume from. Free space and run the command again.")
    assert not (tmp_path / "run" / "checkpoints" / "last.ckpt").exists()


def test_full_disk_in_the_first_epoch_names_another_directory(
    tmp_path: Path,
) -> None:
    """The files of the first steps would refuse the same command."""
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert report_failure(full, tmp_path).endswith("Free space and run the command again.")
    (tmp_path / "metrics.csv").touch()
    assert report_failure(full, tmp_path).endswith("Free space and run the command again in another directory.")


def test_run_survives_a_disk_that_fills_up(short_search: Path, tmp_path: Path) -> None:
    size = sum(path.stat().st_size for path in short_search.rglob("*") if path.is_file())
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = ["mount", "-t", "tmpfs", "-o", f"size={size + 100_000}", "tmpfs", str(disk)]
    if subprocess.run(mounted, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        directory = disk / "run"
        run("search", *SEARCH, "epochs=3", f"hydra.run.dir={directory}").refused("no space left on device", "ckpt_path")
        assert json.loads((directory / "genotype.json").read_text())["version"] == 1
        subprocess.run(["mount", "-o", "remount,size=16m", str(disk)], check=True)
        run("search", f"ckpt_path={directory}").succeeded()
        with (disk / "filler").open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
            while file.write(bytes(4096)):
                pass
        run("search", *SEARCH, f"hydra.run.dir={disk}/other").refused("hydra.run.dir: cannot write to", "No space left")
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_explain_returns_one_line_for_errors_of_the_user() -> None:
    assert explain(ValueError("x")) is None
    assert explain(OSError(errno.ENOENT, "x")) is None
    assert "permission denied (/x)" in (explain(PermissionError(errno.EACCES, "x", "/x")) or "")
    for number in (errno.ELOOP, errno.EIO, errno.ESTALE):
        line = explain(OSError(number, "x", "/x"))
        assert line == f"{os.strerror(number).lower()} (/x): choose another file or directory."
    assert (explain(OSError(errno.EMFILE, "x", "/x")) or "").endswith(
        "(/x): raise the limit of this shell, such as ulimit -n 4096."
    )
    handler = explain(ValueError("Unable to configure handler 'file'")) or ""
    assert handler.startswith("hydra.job_logging: Unable to configure handler 'file'. Leave out")
    kind = type("OutOfMemoryError", (RuntimeError,), {})
    assert "smaller dataset.batch_size" in (explain(kind("CUDA out of memory. Tried\nto allocate")) or "")


def test_explain_names_a_failed_compiler_and_its_cache() -> None:
    """A kill during a compilation leaves a cut library in the cache of PyTorch."""
    from torch._inductor.exc import InductorError

    line = explain(InductorError(ImportError("main.so: file too short"), None))
    assert line is not None and line.startswith("compile: the compiler failed (") and "file too short" in line
    assert "compile=false" in line and "TORCHINDUCTOR_CACHE_DIR" in line


def test_file_that_is_a_directory_is_named(tmp_path: Path) -> None:
    directory, file = tmp_path / "run", tmp_path / "run" / "history.jsonl"
    file.mkdir(parents=True)
    with pytest.raises(OSError) as opened:
        file.open("a")
    with pytest.raises(OSError) as replaced:
        write_atomically(file, "x")
    for error in (opened.value, replaced.value):
        assert explain(error) == f"is a directory ({file}): move it away, or choose another directory."
    (tmp_path / "file").touch()
    with pytest.raises(OSError) as below:
        (tmp_path / "file" / "checkpoints").mkdir()
    with pytest.raises(OSError) as existing:
        (tmp_path / "file").mkdir()
    assert "not a directory" in (explain(below.value) or "") and "file exists" in (explain(existing.value) or "")
    assert [path.name for path in directory.iterdir()] == ["history.jsonl"]
