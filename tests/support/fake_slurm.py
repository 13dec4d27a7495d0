"""Small stand-in for SLURM: sbatch, srun, scontrol and sacct for jobs on this host, each task a process.

``install`` writes the commands into a directory for PATH. A job that ``scontrol requeue`` names starts again after it
has ended, with a larger SLURM_RESTART_COUNT. FAKE_SLURM is the directory of its files.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

COMMANDS = ("sbatch", "srun", "scontrol", "sacct")


def install(directory: Path) -> dict[str, str]:
    """Write the commands, and return the variables of the environment in which they are found."""
    directory.mkdir()
    for name in COMMANDS:
        file = directory / name
        file.write_text(f'#!/bin/sh\nexec {sys.executable} {Path(__file__).resolve()} {name} "$@"\n')
        file.chmod(0o755)
    return {"PATH": f"{directory}{os.pathsep}{os.environ['PATH']}", "FAKE_SLURM": str(directory)}


def directives(script: str) -> dict[str, str]:
    """Return the options in the #SBATCH lines of a script."""
    return {name: value for name, value in re.findall(r"^#SBATCH --([\w-]+)=?(\S*)", script, re.MULTILINE)}


def sbatch(script: str) -> None:
    """Run a job, or each task of an array, in the background; wait for it if FAKE_SLURM_WAIT is set."""
    home, options = Path(os.environ["FAKE_SLURM"]), directives(Path(script).read_text())
    number = 4000 + len(list(home.glob("job-*")))
    (home / f"job-{number}").touch()
    print(f"Submitted batch job {number}", flush=True)
    if "FAKE_SLURM_WAIT" not in os.environ:
        if os.fork():
            return
        os.setsid()
        quiet = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(quiet, stream)
    first, _, last = options.get("array", "").partition("%")[0].partition("-")
    for task in range(int(first or 0), int(last or first or 0) + 1):
        _run_job(script, options, number, task if "array" in options else None)


def _run_job(script: str, options: dict[str, str], number: int, task: int | None) -> None:
    home, nodes, per_node = Path(os.environ["FAKE_SLURM"]), options.get("nodes", "1"), options["ntasks-per-node"]
    name = str(number) if task is None else f"{number}_{task}"
    job = number if task is None else number + 100 * (task + 1)
    env = {**os.environ, "SLURM_JOB_ID": str(job), "SLURM_JOB_NAME": options.get("job-name", "job")}
    env |= {"SLURM_NNODES": nodes, "SLURM_JOB_NUM_NODES": nodes, "SLURM_NTASKS_PER_NODE": per_node}
    env |= {"SLURM_NTASKS": str(int(nodes) * int(per_node)), "SLURM_JOB_NODELIST": "127.0.0.1"}
    env |= {"SLURM_NODELIST": "127.0.0.1", "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0"}
    if task is not None:
        env |= {"SLURM_ARRAY_JOB_ID": str(number), "SLURM_ARRAY_TASK_ID": str(task)}
    for attempt in range(9):
        log = home / f"{name}.{attempt}.out"
        with log.open("w") as file:
            subprocess.run(["bash", script], env=env, stdout=file, stderr=subprocess.STDOUT, check=False)
        if not (home / f"requeue-{name}").exists():
            break
        (home / f"requeue-{name}").unlink()
        env["SLURM_RESTART_COUNT"] = str(attempt + 1)
    (home / f"done-{name}").touch()


def srun(arguments: list[str]) -> int:
    """Start the tasks of a step, end them all if one fails, and return the largest exit code."""
    while arguments and arguments[0].startswith("-"):
        del arguments[: 2 if arguments[0] in ("--output", "--error") else 1]
    per_node, tasks = int(os.environ["SLURM_NTASKS_PER_NODE"]), []
    for rank in range(int(os.environ["SLURM_NTASKS"])):
        env = {**os.environ, "SLURM_STEP_ID": "0", "SLURM_PROCID": str(rank)}
        env |= {"SLURM_LOCALID": str(rank % per_node), "SLURM_NODEID": str(rank // per_node)}
        tasks.append(subprocess.Popen(arguments, env=env))
    while any(task.poll() is None for task in tasks):
        if any(task.returncode for task in tasks):
            for task in tasks:
                task.terminate()
        time.sleep(0.1)
    return max(abs(task.wait()) for task in tasks)


def scontrol(arguments: list[str]) -> None:
    """Note that a job is to start again."""
    action, job = arguments
    assert action == "requeue", arguments
    (Path(os.environ["FAKE_SLURM"]) / f"requeue-{job}").write_text(json.dumps(arguments))


def sacct(arguments: list[str]) -> None:
    """Print the state of the jobs that have ended."""
    print("JobID|State|NodeList")
    for path in Path(os.environ["FAKE_SLURM"]).glob("done-*"):
        print(f"{path.name[5:]}|COMPLETED|localhost")


if __name__ == "__main__":
    command, given = sys.argv[1], sys.argv[2:]
    if command == "sbatch":
        sbatch(given[-1])
    elif command == "srun":
        raise SystemExit(srun(given))
    elif command == "scontrol":
        scontrol(given)
    else:
        sacct(given)
