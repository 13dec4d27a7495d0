"""Two processes that want the same run directory: one gets it, the other is refused in one line."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

from tests.campaign.kills import DATA, RUNS, SMALL, Reference, fault
from tests.campaign.processes import Command, run, start

SWEEP = Command("search", ("-m", "method=gdas", *SMALL, *DATA, "epochs=1", "seed=0,1"))
Pair = Callable[[str, Path, Path], tuple[Command, Command]]


def two_fresh_runs(name: str, directory: Path, folder: Path) -> tuple[Command, Command]:
    """Return two runs from scratch with one hydra.run.dir."""
    command = RUNS[name].plus(f"hydra.run.dir={directory}")
    return command, command


def run_and_resume(name: str, directory: Path, folder: Path) -> tuple[Command, Command]:
    """Return a run from scratch, and its resume while it may still be running."""
    return RUNS[name].plus(f"hydra.run.dir={directory}"), Command(RUNS[name].job, (f"ckpt_path={directory}",))


def two_resumes(name: str, directory: Path, folder: Path) -> tuple[Command, Command]:
    """Return two resumes of a run that was killed after its first complete epoch."""
    running = start(RUNS[name].plus(f"hydra.run.dir={directory}"), folder, "killed")
    checkpoint = directory / "checkpoints" / "last.ckpt"
    logs = [checkpoint, directory / "scores.jsonl", directory / "repetitions.jsonl"]
    deadline = time.monotonic() + 60
    while not any(log.is_file() and log.stat().st_size for log in logs) and time.monotonic() < deadline:
        time.sleep(0.01)
    running.send(signal.SIGKILL)
    running.wait()
    command = Command(RUNS[name].job, (f"ckpt_path={directory}",))
    return command, command


PAIRS: tuple[Pair, ...] = (two_fresh_runs, run_and_resume, two_resumes)


def compete(name: str, pair: Pair, known: Reference, generator: random.Random, folder: Path) -> str | None:
    """Start a pair of processes on one directory and return the fault, if there is one."""
    directory = folder / "run"
    first, second = pair(name, directory, folder)
    one = start(first, folder, "first")
    time.sleep(generator.random() * known.seconds)
    other = start(second, folder, "second")
    ended = [one.wait(), other.wait()]
    problems = [f"{command}: {problem}" for end in ended if (problem := end.problem()) for command in (second,)]
    if problems:
        return "; ".join(problems)
    if sorted(end.code for end in ended) != [0, 1]:
        return f"exit codes {[end.code for end in ended]}"
    return fault(known, folder)


def compete_for_sweep(generator: random.Random, folder: Path) -> str | None:
    """Start two sweeps in one hydra.sweep.dir: one ends with both jobs, the other is refused."""
    command = SWEEP.plus(f"hydra.sweep.dir={folder / 'sweep'}")
    one = start(command, folder, "first")
    time.sleep(generator.random() * 3)
    ended = [run(command, folder, "second"), one.wait()]
    if sorted(end.code for end in ended) != [0, 1]:
        return f"exit codes {[end.code for end in ended]}"
    missing = [job for job in ("0", "1") if not (folder / "sweep" / job / "summary.json").is_file()]
    refused = next(end for end in ended if end.code == 1)
    return refused.problem() or (f"jobs {missing} have no summary" if missing else None)
