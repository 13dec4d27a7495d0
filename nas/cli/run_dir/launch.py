"""Launch of a distributed run by torchrun, srun or submitit, as the environment of its processes describes it."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass

from nas.utils.errors import NasError

SUBMITIT_LOCAL = "SUBMITIT_LOCAL_"
POSITIONS = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")
"""Variables from which Lightning reads the position of any process."""
NODES = ("NODE_RANK", "GROUP_RANK", "WORLD_SIZE", "MASTER_PORT")
"""Variables that Lightning also reads in a process of torchrun, or one with LOCAL_RANK."""
TASKS = ("SLURM_NTASKS", "SLURM_LOCALID", "SLURM_NODEID", "MASTER_PORT")
"""Variables that Lightning also reads in a task of SLURM."""
INTERACTIVE = ("bash", "interactive")
"""Names of jobs of SLURM in which Lightning ignores the variables of SLURM."""


@dataclass(frozen=True)
class Sizes:
    """Number of processes that a launcher has started.

    Attributes:
        launcher: name of the launcher.
        processes: processes on all machines.
        per_machine: processes on each machine, None if unknown.
        machines: number of machines, None if unknown.
    """

    launcher: str
    processes: int
    per_machine: int | None
    machines: int | None

    def describe(self) -> str:
        """Describe the processes in one phrase."""
        text = f"{self.launcher} has started {self.processes} process{'es' * (self.processes > 1)}"
        if self.per_machine is None or self.machines is None:
            return text
        return f"{text} ({self.per_machine} on each of {self.machines} machine{'s' * (self.machines > 1)})"


def is_torchrun(environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether torchrun has started this process."""
    return "TORCHELASTIC_RUN_ID" in environment


def is_slurm(environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether this process belongs to a job of SLURM whose tasks are the ranks of a run."""
    interactive = environment.get("SLURM_JOB_NAME") in INTERACTIVE
    return "SLURM_NTASKS" in environment and not interactive and not is_torchrun(environment)


def check_numbers(environment: Mapping[str, str] = os.environ) -> None:
    """Raise NasError for a variable of a launcher that is no whole number, which Lightning would fail to read."""
    of_nodes = NODES if is_torchrun(environment) or "LOCAL_RANK" in environment else ()
    of_tasks = TASKS if is_slurm(environment) else ()
    for name in (*POSITIONS, *of_nodes, *of_tasks):
        value = environment.get(name, "0")
        if not (value.isascii() and value.isdecimal()):
            raise NasError(
                f"{name}={value}: launchers set this environment variable to a whole number from 0. Run unset {name}, "
                "or start the command by torchrun or srun."
            )


def launched_sizes(environment: Mapping[str, str] = os.environ) -> Sizes | None:
    """Return the number of processes that torchrun, srun or submitit has started, None for any other launcher."""

    def number(name: str) -> int | None:
        text = environment.get(name, "")
        return int(text) if text.isdecimal() else None

    if is_torchrun(environment):
        sizes = number("WORLD_SIZE"), number("LOCAL_WORLD_SIZE"), number("GROUP_WORLD_SIZE")
        launcher = "torchrun"
    elif f"{SUBMITIT_LOCAL}NTASKS" in environment:
        tasks = number(f"{SUBMITIT_LOCAL}NTASKS")
        sizes, launcher = (tasks, tasks, 1), "submitit"
    elif is_slurm(environment):
        sizes = number("SLURM_NTASKS"), number("SLURM_NTASKS_PER_NODE"), number("SLURM_NNODES")
        launcher = "srun"
    else:
        return None
    return None if sizes[0] is None else Sizes(launcher, sizes[0], *sizes[1:])


def launch_name(environment: Mapping[str, str] = os.environ) -> str | None:
    """Return a name that all ranks of a launch have, also after a restart; None if the launcher provides none.

    It is ``torchrun-RUN_ID`` or ``slurm-JOB_ID``; further steps of a job of SLURM have ``slurm-JOB_ID.STEP``.
    """
    run = environment.get("TORCHELASTIC_RUN_ID", "none")
    if run != "none":
        return f"torchrun-{_plain(run)}"
    job, step = environment.get("SLURM_JOB_ID"), environment.get("SLURM_STEP_ID", "0")
    if job is None or environment.get("SLURM_JOB_NAME") in INTERACTIVE:
        return None
    return f"slurm-{_plain(job)}" + ("" if step == "0" else f".{_plain(step)}")


def command_name(command: Sequence[str], environment: Mapping[str, str] = os.environ) -> str | None:
    """Return a name of a command with one process in a job of SLURM, None outside of a job and with several tasks.

    A job script may contain several commands, and starts each of them again after a requeue. The name is
    ``slurm-JOB_ID-HASH`` with a hash of the command.
    """
    job, tasks = environment.get("SLURM_JOB_ID"), environment.get("SLURM_NTASKS", "1")
    if job is None or tasks != "1" or environment.get("SLURM_JOB_NAME") in INTERACTIVE:
        return None
    return f"slurm-{_plain(job)}-{hashlib.sha256(json.dumps(list(command)).encode()).hexdigest()[:6]}"


def _plain(text: str) -> str:
    return re.sub(r"[^\w-]", "_", text)[:100]


def restart_count(environment: Mapping[str, str] = os.environ) -> int:
    """Return how often torchrun has restarted the processes, or SLURM has requeued their job."""
    counts = (environment.get(name, "0") for name in ("TORCHELASTIC_RESTART_COUNT", "SLURM_RESTART_COUNT"))
    return sum(int(count) for count in counts if count.isdecimal())


def launch_token(environment: Mapping[str, str] = os.environ) -> str | None:
    """Return a text that the ranks of a launch share, and that differs between its restarts; None without a name."""
    name = launch_name(environment)
    return None if name is None else f"{name}#{restart_count(environment)}"


def adopt_submitit_ranks(environment: MutableMapping[str, str] = os.environ) -> None:
    """Set the variables that Lightning reads to the position of a task of submitit's local executor.

    The tasks of submitit on SLURM have those of SLURM already.
    """
    tasks, local = environment.get(f"{SUBMITIT_LOCAL}NTASKS", "1"), environment.get(f"{SUBMITIT_LOCAL}LOCALID")
    if tasks == "1" or local is None or "LOCAL_RANK" in environment:
        return
    port = random.Random(environment.get(f"{SUBMITIT_LOCAL}JOB_ID")).randint(20_000, 60_000)
    environment.update(LOCAL_RANK=local, RANK=local, NODE_RANK="0", WORLD_SIZE=tasks)
    environment.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
