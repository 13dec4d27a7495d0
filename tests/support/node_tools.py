"""Two processes on this host with the environment of two machines, as torchrun or srun starts them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from tests.support.compose_tools import ROOT
from tests.support.error_tools import Outcome

MULTINODE = ("trainer=ddp_multinode", "trainer.accelerator=cpu")
LAUNCHERS = ("torchrun", "srun")


def free_port() -> str:
    """Return a port on which no process of this host listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def node_environment(launcher: str, rank: int, restarts: int = 0) -> dict[str, str]:
    """Return the variables that a launcher sets for the process of one of two machines, without their address."""
    if launcher == "torchrun":
        return {
            "TORCHELASTIC_RUN_ID": "nodes", "TORCHELASTIC_RESTART_COUNT": str(restarts), "RANK": str(rank),
            "WORLD_SIZE": "2", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1", "GROUP_RANK": str(rank),
            "GROUP_WORLD_SIZE": "2",
        }  # fmt: skip
    return {
        "SLURM_JOB_ID": "77", "SLURM_STEP_ID": "0", "SLURM_JOB_NAME": "search", "SLURM_NTASKS": "2",
        "SLURM_NTASKS_PER_NODE": "1", "SLURM_NNODES": "2", "SLURM_NODEID": str(rank), "SLURM_PROCID": str(rank),
        "SLURM_LOCALID": "0", **({"SLURM_RESTART_COUNT": str(restarts)} if restarts else {}),
    }  # fmt: skip


class Nodes:
    """The processes of a command on two machines; use it as a context, which ends them.

    Args:
        launcher: torchrun or srun.
        arguments: arguments of both processes.
        cwd: working directory.
        restarts: number of earlier starts of the launch.
        name: search or train.
        second: arguments of the second process; None: as the first.
        environment: further variables.
    """

    def __init__(
        self,
        launcher: str,
        *arguments: str,
        cwd: Path,
        restarts: int = 0,
        name: str = "search",
        second: tuple[str, ...] | None = None,
        **environment: str,
    ) -> None:
        shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port(), "OMP_NUM_THREADS": "1", **environment}
        self.processes = []
        for rank, given in enumerate((arguments, arguments if second is None else second)):
            env = {**os.environ, **shared, **node_environment(launcher, rank, restarts)}
            command = [sys.executable, str(ROOT / f"{name}.py"), *given]
            streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
            self.processes.append(subprocess.Popen(command, cwd=cwd, env=env, **streams))  # type: ignore[call-overload]

    def __enter__(self) -> Nodes:
        return self

    def __exit__(self, *error: object) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.communicate()

    def outcomes(self, timeout: float = 300) -> list[Outcome]:
        """Wait for both processes, and return their output and exit codes."""
        found = []
        for process in self.processes:
            said, erred = process.communicate(timeout=timeout)
            found.append(Outcome(process.returncode, said, erred))
        return found


class SendSignal(pl.Callback):
    """Send a signal to one rank before a step.

    Args:
        name: name of the signal, such as SIGUSR1.
        epoch, step: the place of the step.
        rank: the rank that receives it.
        flag: file that is created before, and prevents a second signal; None: none.
    """

    def __init__(self, name: str, epoch: int, step: int, rank: int = 0, flag: str | None = None) -> None:
        self.number = signal.Signals[name]
        self.place = (epoch, step, rank)
        self.flag = None if flag is None else Path(flag)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if (trainer.current_epoch, batch_idx, trainer.global_rank) != self.place or (self.flag and self.flag.exists()):
            return
        if self.flag:
            self.flag.touch()
        os.kill(os.getpid(), self.number)


def send(name: str, **options: Any) -> str:
    """Return the override that adds ``SendSignal`` to a run."""
    fields = {"_target_": f"{__name__}.SendSignal", "name": name, **options}
    return f"+callbacks.send={{{','.join(f'{key}:{value}' for key, value in fields.items())}}}"
