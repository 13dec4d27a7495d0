"""Hostile files and runs, each read by a command line: refused in one line, and never executed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.campaign.kills import CELL, DATA, NETWORK, SMALL
from tests.campaign.processes import Command, run
from tests.support.hostile_bench import Bench, Case
from tests.support.hostile_files import HOSTILE

CASES: tuple[Case, ...] = tuple(HOSTILE.values())


@dataclass(frozen=True)
class Runs:
    """Finished runs from which hostile ones are made."""

    searched: Path
    trained: Path


def make_runs(folder: Path) -> Runs:
    """Search and train once. Raises RuntimeError if a run fails."""
    runs = Runs(folder / "searched", folder / "trained")
    search = Command("search", ("method=gdas", *SMALL, *DATA, "epochs=1", f"hydra.run.dir={runs.searched}"))
    train = Command("train", (CELL, *DATA, *NETWORK, "epochs=1", f"hydra.run.dir={runs.trained}"))
    for command in (search, train):
        ended = run(command, folder, f"{command.job}-for-hostile")
        if ended.code:
            raise RuntimeError(f"{command}: {ended.errors}")
    return runs


def read(number: int, runs: Runs, folder: Path) -> str | None:
    """Read a hostile file and return the fault: it was executed, accepted, or refused in more than one line."""
    case = CASES[number]
    folder.mkdir(parents=True)
    bench = Bench(runs.searched, runs.trained, folder)
    arguments = case.make(bench)
    ended = run(Command(case.script, tuple(arguments)), folder, "hostile")
    if bench.marker.exists():
        return "the file was executed"
    if ended.code == 0 and case.phrase:
        return "accepted"
    problem = ended.problem()
    if problem is None and case.phrase and case.phrase not in ended.errors:
        return f"refused for another reason: {ended.errors[:200]}"
    return problem
