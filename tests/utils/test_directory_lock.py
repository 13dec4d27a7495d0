"""Locks of directories between processes."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import nas.utils.directory_lock
import nas.utils.file_lock
from nas.utils.directory_lock import (
    LOCK_FILE,
    DirectoryInUseError,
    DirectoryLock,
    is_locked,
    is_locked_here,
    read_holder,
)
from nas.utils.errors import NasError
from nas.utils.mounts import has_local_locks_only
from tests.support.compose_tools import ROOT

HOLD = """
import os, sys, time
from pathlib import Path
from nas.utils.directory_lock import DirectoryLock
lock = DirectoryLock(Path(sys.argv[1]), "here", "sweep")
if "fork" not in sys.argv:
    print(os.getpid(), flush=True)
elif os.fork() == 0:
    print(os.getpid(), flush=True)  # by the child: it has closed its copy of the lock
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nas.utils.directory_lock, "PATIENCE", 0.2)


def hold(directory: Path, *options: str) -> tuple[subprocess.Popen[str], int]:
    """Start a process that holds the lock of a directory, and return it with the number that it prints."""
    command = [sys.executable, "-c", HOLD, str(directory), *options]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def test_lock_excludes_another_process_until_it_is_killed(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    process, _ = hold(directory)
    try:
        assert is_locked(directory) and not is_locked_here(directory)
        assert read_holder(directory) == {"pid": process.pid, "host": socket.gethostname(), "kind": "sweep"}
        message = f"hydra.run.dir: {directory} is in use by process {process.pid} on {socket.gethostname()}. Wait"
        with pytest.raises(DirectoryInUseError, match=message):
            DirectoryLock(directory, "hydra.run.dir")
        assert is_locked(directory)
    finally:
        process.kill()
        process.wait()
    assert not is_locked(directory) and (directory / LOCK_FILE).exists()
    with DirectoryLock(directory, "hydra.run.dir"):
        assert is_locked_here(directory) and read_holder(directory)["pid"] == os.getpid()
    assert not is_locked(directory) and list(directory.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forked processes")
def test_forked_processes_do_not_keep_the_lock(tmp_path: Path) -> None:
    """Workers of a data loader may outlive their killed parent by seconds."""
    process, child = hold(tmp_path, "fork")
    try:
        process.kill()
        process.wait()
        os.kill(child, 0)  # it still runs
        assert not is_locked(tmp_path)
    finally:
        os.kill(child, signal.SIGKILL)


def test_lock_is_taken_once_per_process(tmp_path: Path) -> None:
    outer = DirectoryLock(tmp_path / "a" / "b", "x")
    with DirectoryLock(tmp_path / "a" / ".." / "a" / "b", "x"):
        pass
    assert is_locked_here(tmp_path / "a" / "b")
    outer.release()
    outer.release()
    assert list(tmp_path.iterdir()) == []
    with DirectoryLock(tmp_path / "c", "x"):
        (tmp_path / "c" / "file").touch()
    assert [path.name for path in (tmp_path / "c").iterdir()] == ["file"]


def test_directory_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NasError, match="key: cannot write to .*file"):
        DirectoryLock(tmp_path / "file" / "run", "key")


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_file_system_without_locks_is_refused(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(nas.utils.file_lock.fcntl, "flock", refuse)
    with pytest.raises(NasError, match=r"the file system of .*run has no locks \(.*extras.require_lock=false"):
        DirectoryLock(tmp_path / "run", "hydra.run.dir")
    assert list(tmp_path.iterdir()) == []
    with DirectoryLock(tmp_path / "run", "hydra.run.dir", required=False):
        assert is_locked_here(tmp_path / "run")


@pytest.mark.parametrize(
    ("options", "local"),
    [
        ("rw,vers=4.2,local_lock=none", False),
        ("rw,vers=3,nolock", True),
        ("rw,local_lock=all", True),
        ("rw,local_lock=flock", True),
        ("rw,local_lock=posix", False),
        ("rw,flock", False),
        ("rw,localflock", True),
    ],
)
def test_network_file_system_with_local_locks_is_refused(
    options: str, local: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/sda / ext4 rw,nolock 0 0\nserver:/x {tmp_path}/a\\040b nfs {options} 0 0\n")
    monkeypatch.setattr("nas.utils.mounts.MOUNTS", mounts)
    assert has_local_locks_only(tmp_path / "a b" / "run") is local
    if local:
        with pytest.raises(NasError, match="locks only within one host"):
            DirectoryLock(tmp_path / "a b" / "run", "hydra.run.dir")
        DirectoryLock(tmp_path / "a b" / "run", "hydra.run.dir", required=False).release()


def test_link_or_pipe_in_place_of_the_lock_is_refused(tmp_path: Path) -> None:
    """Neither is the file behind a link written, nor does a check wait for a pipe."""
    file, link, pipe = tmp_path / "file", tmp_path / "link", tmp_path / "pipe"
    file.write_text("content")
    for directory in (link, pipe):
        directory.mkdir()
    (link / ".lock").symlink_to(file)
    os.mkfifo(pipe / ".lock")
    for directory in (link, pipe):
        assert not is_locked(directory) and read_holder(directory) == {}
        with pytest.raises(NasError, match="cannot write to"):
            DirectoryLock(directory, "hydra.run.dir")
    assert file.read_text() == "content"
