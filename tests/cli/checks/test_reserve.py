"""Two processes never write to one run directory, and the ranks of a distributed run share one."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from nas.cli.main import prepare
from tests.support.compose_tools import DATA, ROOT, lines, small
from tests.support.error_tools import SEARCH, Outcome, run, snapshot

SLOW = [*SEARCH[:-1], "method=gdas", "epochs=1000", "~callbacks.cell_plots", "~callbacks.benchmark", "dataset.size=64"]
DDP = [*DATA, *small("nas_bench_201"), "method=gdas", "epochs=1", "trainer=ddp_cpu", "dataset.test_size=16"]


def start(*arguments: str, cwd: Path, **environment: str) -> subprocess.Popen[str]:
    """Start a search in a process of its own."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    command = [sys.executable, str(ROOT / "search.py"), *arguments]
    return subprocess.Popen(
        command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def wait_for(path: Path, count: int, process: subprocess.Popen[Any]) -> None:
    """Wait until a file has some lines."""
    deadline = time.monotonic() + 200
    while not path.exists() or path.read_bytes().count(b"\n") < count:
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[0]
        time.sleep(0.05)


def test_running_search_keeps_its_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    directory = tmp_path / "sweep" / "0"
    process = start("-m", *SLOW, "hydra.sweep.dir=sweep", cwd=tmp_path)
    try:
        wait_for(directory / ".hydra" / "overrides.yaml", 1, process)
        before = (directory / ".hydra" / "config.yaml").read_bytes()
        holder = f"process {process.pid} on {socket.gethostname()}"
        run("search", f"ckpt_path={directory}").refused(f"ckpt_path={directory}: {directory}", holder)
        run("search", *SEARCH, "hydra.run.dir=sweep/5").refused("belongs to the sweep", holder)
        run("search", "-m", *SEARCH, "seed=0,1", "hydra.sweep.dir=sweep").refused("hydra.sweep.dir: sweep is in use")
        elsewhere = [*SEARCH, "hydra.run.dir=new", f"paths.output={directory}"]
        run("search", *elsewhere).refused(f"paths.output: {directory}", holder)
        assert not (tmp_path / "new").exists() and not (tmp_path / "sweep" / "5").exists()
        assert (directory / ".hydra" / "config.yaml").read_bytes() == before
        wait_for(directory / "history.jsonl", 2, process)
        run("search", f"ckpt_path={directory}").refused(f"ckpt_path={directory}: {directory} is in use by {holder}")
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    epochs = len(lines(directory / "history.jsonl")) + 1
    run("search", f"ckpt_path={directory}", f"epochs={epochs}").succeeded()
    assert [line["epoch"] for line in lines(directory / "history.jsonl")] == list(range(epochs))
    assert not list(tmp_path.rglob(".lock")) or [path.parent.name for path in tmp_path.rglob(".lock")] == ["sweep"]


def test_each_option_that_names_a_finished_run_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``${now:...}`` in a directory is replaced once: the checked directory is the one that Hydra uses."""
    monkeypatch.chdir(tmp_path)
    found = run("search", *SEARCH, "hydra.run.dir=${seed}/${now:%Y}", "paths.output=results/${seed}")
    found.succeeded()
    (directory,) = (path for path in (tmp_path / "0").iterdir() if re.fullmatch(r"20\d\d", path.name))
    assert (directory / ".hydra").is_dir() and (tmp_path / "results" / "0" / "summary.json").is_file()
    assert "%Y" in (tmp_path / "results" / "0" / "summary.json").read_text(), "the command as it was given"
    before = snapshot(tmp_path)
    for line in ("paths.output=results/0", "hydra.run.dir=results/${seed}", "hydra.run.dir=./0/../results/0"):
        run("search", *SEARCH, line).refused(line.partition("=")[0], "results/0 holds a finished run")
    history = "callbacks.history.directory"
    run("search", *SEARCH, f"{history}=results/0").refused(history, "results/0 holds a finished run")
    for line in ("callbacks.checkpoint.dirpath=results/0/checkpoints", "hydra.run.dir=results/0/checkpoints/x"):
        run("search", *SEARCH, line).refused(line.partition("=")[0], "is a folder of the run")
    jobs = ["-m", *SEARCH, "seed=0,1", "hydra.sweep.dir=sweep"]
    run("search", *jobs, f"{history}=h").refused(f"{history}: jobs 0 and 1")
    assert prepare("search", [*jobs, f"{history}=h/${{seed}}"])
    run("search", *jobs, "paths.output=results/${seed}").refused("paths.output: results/0 holds a finished run")
    run("search", *jobs, "hydra.sweep.subdir=../results/${seed}").refused("hydra.sweep.subdir", "holds a finished run")
    run("search", *jobs, "paths.output=results/new").refused("paths.output: jobs 0 and 1", "same directory")
    run("search", *jobs, "hydra.sweep.subdir=${method.name}").refused("hydra.sweep.subdir: jobs 0 and 1")
    run("search", *jobs, "hydra.run.dir=elsewhere").refused("hydra.run.dir: a sweep does not use it")
    long = ["hydra.sweep.subdir=${hydra.job.override_dirname}", f"run_name={'x' * 250}"]
    run("search", *jobs, *long).refused("hydra.sweep.subdir: the directory name", "allow 255")
    run("search", *SEARCH, f"hydra.run.dir=a/{'x' * 256}").refused("hydra.run.dir: the directory name", "256 bytes")
    assert snapshot(tmp_path) == before and sorted(os.listdir(tmp_path)) == ["0", "results"]


def ranks(tmp_path: Path, launcher: str, *arguments: str) -> list[Outcome]:
    """Run two ranks, as torchrun or srun starts them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    if launcher == "torchrun":
        command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", f"--master_port={port}"]
        command += [str(ROOT / "search.py"), *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
        return [Outcome(done.returncode, done.stdout, done.stderr)]
    srun = {"SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2", "SLURM_NNODES": "1", "SLURM_NODEID": "0"}
    srun |= {"SLURM_JOB_ID": "12345", "SLURM_STEP_ID": "0", "SLURM_JOB_NAME": "search"}
    srun |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    processes = [
        start(*arguments, cwd=tmp_path, **srun, SLURM_PROCID=str(rank), SLURM_LOCALID=str(rank)) for rank in (0, 1)
    ]
    return [Outcome(process.wait(300), process.communicate()[0], "") for process in processes]


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["torchrun", "srun"])
def test_ranks_of_a_launcher_share_one_directory(launcher: str, tmp_path: Path) -> None:
    found = ranks(tmp_path, launcher, *DDP)
    assert all(outcome.code == 0 for outcome in found), found
    (summary,) = tmp_path.rglob("summary.json")
    (record,) = tmp_path.rglob("overrides.yaml")
    assert record.parent.parent == summary.parent and len(list(tmp_path.rglob("search.log"))) == 1
    assert len(lines(summary.parent / "history.jsonl")) == 1
    assert not list(tmp_path.rglob(".ranks-*")) and not list(tmp_path.rglob(".lock"))
    if launcher == "torchrun":  # ends the second rank when the first one is refused
        (again,) = ranks(tmp_path, launcher, *DDP, f"hydra.run.dir={summary.parent}")
        assert again.code != 0 and "holds a finished run" in again.erred
