"""Runs of two machines: one directory, signals, restarts, and ranks that end early."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.compose_tools import ROOT, lines
from tests.support.error_tools import NB201, SEARCH, TRAIN, Outcome
from tests.support.fake_slurm import install
from tests.support.node_tools import LAUNCHERS, MULTINODE, Nodes, free_port, send
from tests.support.resume_tools import assert_same_results, checkpoint

TWO = [*SEARCH[:-1], "method=gdas", *MULTINODE, "dataset.batch_size=4", "~callbacks.cell_plots", "epochs=3"]
"""A search with 4 steps per epoch on each of two machines."""
LONG = [*TWO[:-1], "epochs=1000"]


def succeeded(nodes: Nodes) -> list[Outcome]:
    with nodes:
        found = nodes.outcomes()
    assert all(outcome.code == 0 for outcome in found), found
    return found


def runs(process: str) -> bool:
    """Return whether a process runs; one that has ended may still be in the table of processes."""
    try:
        return Path("/proc", process, "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_two_machines_share_the_directory_of_their_job(tmp_path: Path) -> None:
    first, second = succeeded(Nodes("srun", *TWO, cwd=tmp_path))
    run = tmp_path / "outputs" / "search" / "slurm-77"
    assert (run / "summary.json").is_file() and len(lines(run / "history.jsonl")) == 3
    assert "2 x cpu" in first.said and "batch          8 images per step (2 devices x 4 images)" in first.said
    assert second.said == second.erred == "" and (run / "rank_1.log").read_text() == "", "no warning"
    assert [path.name for path in tmp_path.iterdir()] == ["outputs"] and not list(tmp_path.rglob(".lock"))
    assert len(list(tmp_path.rglob("*.log"))) == 2 and len(list(tmp_path.rglob("overrides.yaml"))) == 1


@pytest.mark.slow
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_signal_to_one_rank_stops_all_and_the_restart_resumes(launcher: str, tmp_path: Path) -> None:
    """Under SLURM the job is requeued; the restarted command is the same."""
    whole, place = tmp_path / "whole", f"hydra.run.dir={tmp_path}/whole"
    succeeded(Nodes(launcher, *TWO, place, cwd=tmp_path))
    slurm = install(tmp_path / "slurm")
    command = [*TWO, send("SIGUSR1", epoch=1, step=1, rank=1)]
    first, _ = succeeded(Nodes(launcher, *command, cwd=tmp_path, **slurm))
    assert "SIGUSR1 stopped the run after 2 of 3 epochs" in first.said
    assert (tmp_path / "slurm" / "requeue-77").exists() == (launcher == "srun")
    succeeded(Nodes(launcher, *command, cwd=tmp_path, restarts=1, **slurm))
    (resumed,) = (tmp_path / "outputs" / "search").iterdir()
    assert resumed.name == {"srun": "slurm-77", "torchrun": "torchrun-nodes"}[launcher]
    assert_same_results(whole, resumed)


@pytest.mark.slow
def test_training_of_two_machines_resumes_within_an_epoch(tmp_path: Path) -> None:
    options = [*TRAIN[:-1], f"genotype='{NB201}'", *MULTINODE]
    options += ["dataset.batch_size=8", "epochs=2", "training.drop_path=0.3"]
    whole, run = ([*options, f"hydra.run.dir={tmp_path}/{name}"] for name in ("whole", "run"))
    succeeded(Nodes("srun", *whole, cwd=tmp_path, name="train"))
    slurm = install(tmp_path / "slurm")
    run.append(send("SIGUSR1", epoch=1, step=1, rank=1))
    first, _ = succeeded(Nodes("srun", *run, cwd=tmp_path, name="train", **slurm))
    assert "SIGUSR1 stopped the run after 1 of 2 epochs" in first.said
    progress = checkpoint(tmp_path / "run")["loops"]["fit_loop"]["epoch_loop.batch_progress"]["current"]
    assert progress["ready"] == 2, "of 4 steps"
    succeeded(Nodes("srun", *run, cwd=tmp_path, restarts=1, name="train", **slurm))
    assert_same_results(tmp_path / "whole", tmp_path / "run")


@pytest.mark.slow
def test_torchrun_restarts_from_the_last_epoch(tmp_path: Path) -> None:
    """A rank is killed in the third epoch; torchrun ends the other one and starts both again."""
    options = [*SEARCH[:-1], "method=gdas", "trainer=ddp_cpu", "dataset.batch_size=4", "epochs=3"]
    kill = send("SIGKILL", epoch=2, step=1, rank=1, flag=f"{tmp_path}/killed")
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--rdzv-id=job", "--max-restarts=1"]
    launch += ["--rdzv-backend=c10d", f"--rdzv-endpoint=127.0.0.1:{free_port()}", "--monitor-interval=0.2"]
    for more in ([f"hydra.run.dir={tmp_path}/whole"], [kill]):
        command = [*launch, str(ROOT / "search.py"), *options, *more]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "killed").exists() and "epoch 2/3" in done.stdout and done.stdout.count("epoch 1/3") == 1
    assert_same_results(tmp_path / "whole", tmp_path / "outputs" / "search" / "torchrun-job")


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1])
def test_other_rank_ends_when_one_is_killed(killed: int, tmp_path: Path) -> None:
    with Nodes("srun", *LONG, send("SIGKILL", epoch=1, step=1, rank=killed), cwd=tmp_path) as nodes:
        start = time.monotonic()
        found = nodes.outcomes(timeout=120)
    assert time.monotonic() - start < 100
    assert found[killed].code == -signal.SIGKILL and found[1 - killed].code == 1
    (line,) = found[1 - killed].erred.splitlines()
    assert "another process of the run has ended" in line and "Traceback" not in found[1 - killed].said
    assert ("rank 1" in line) == (killed == 0)


@pytest.mark.slow
def test_interrupt_ends_both_ranks(tmp_path: Path) -> None:
    """Ctrl-C reaches the processes of both machines, as srun forwards it."""
    checkpoint_file = tmp_path / "outputs" / "search" / "slurm-77" / "checkpoints" / "last.ckpt"
    before = set(Path("/tmp").glob("pymp-*")) | set(Path("/dev/shm").glob("torch_*"))
    with Nodes("srun", *LONG, cwd=tmp_path) as nodes:
        while not checkpoint_file.exists():
            assert nodes.processes[0].poll() is None
            time.sleep(0.1)
        for process in nodes.processes:
            process.send_signal(signal.SIGINT)
        found = nodes.outcomes(timeout=100)
    assert found[0].code == 130 and "To resume, run srun python search.py ckpt_path=" in found[0].erred, found
    assert found[1].code != 0 and len(found[1].erred.splitlines()) == 1, found
    assert not list(tmp_path.rglob(".lock"))
    assert not (set(Path("/tmp").glob("pymp-*")) | set(Path("/dev/shm").glob("torch_*"))) - before


@pytest.mark.slow
def test_ranks_with_different_options_are_refused(tmp_path: Path) -> None:
    with Nodes("torchrun", *TWO, "seed=0", second=(*TWO, "seed=1"), cwd=tmp_path) as nodes:
        found = nodes.outcomes(timeout=100)
    for outcome in found:
        assert outcome.code == 1 and len(outcome.erred.splitlines()) == 1, outcome
        assert "seed=1: rank 1 has this value, and rank 0 has 0" in outcome.erred


@pytest.mark.slow
def test_missing_rank_is_reported(tmp_path: Path) -> None:
    short = "trainer.strategy.timeout.minutes=0.1"
    with Nodes("torchrun", *TWO, short, second=("--version",), cwd=tmp_path) as nodes:
        first, _ = nodes.outcomes(timeout=100)
    assert first.code == 1 and "another process of the run has ended or does not answer" in first.erred, first
    assert len(first.erred.splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["submitit_local", "slurm"])
def test_jobs_of_a_sweep_have_several_processes(launcher: str, tmp_path: Path) -> None:
    """Each job is a run of two ranks, which the launcher starts."""
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    options = [*SEARCH[:-1], "method=gdas", "~callbacks.cell_plots", "epochs=1", "seed=0,1", "hydra.sweep.dir=sweep"]
    if launcher == "slurm":
        options += ["trainer=slurm", "trainer.num_nodes=2", "trainer.accelerator=cpu"]
    else:
        options += ["trainer=ddp_cpu", "hydra/launcher=submitit_local", "hydra.launcher.tasks_per_node=2"]
    environment = {**os.environ, **install(tmp_path / "slurm"), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(ROOT / "search.py"), "-m", *options],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=400,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    for job in ("0", "1"):
        run = tmp_path / "sweep" / job
        assert (run / "summary.json").is_file() and len(lines(run / "history.jsonl")) == 1
        assert "2 x cpu" in (run / "search.log").read_text()
    assert len((tmp_path / "sweep" / "sweep.csv").read_text().splitlines()) == 3


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGKILL", "SIGINT", "SIGTERM"])
def test_processes_of_lightning_end_with_the_first_one(name: str, tmp_path: Path) -> None:
    """A signal to the first process alone, as from a batch system or the killer of large processes."""
    options = [*SEARCH[:-1], "method=gdas", "trainer=ddp_cpu", "epochs=1000", "hydra.run.dir=run"]
    command = [sys.executable, str(ROOT / "search.py"), *options]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "run" / "checkpoints" / "last.ckpt").exists():
        assert process.poll() is None
        time.sleep(0.1)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert children
    process.send_signal(getattr(signal, name))
    _, erred = process.communicate(timeout=60)
    deadline = time.monotonic() + 30
    while any(map(runs, children)):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    if name != "SIGKILL":
        assert (
            process.returncode == 130
            and "To resume, run python search.py ckpt_path=" in erred
            and "Traceback" not in erred
        )
