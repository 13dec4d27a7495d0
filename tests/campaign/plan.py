"""Parts of a campaign, and their trials in several processes."""

from __future__ import annotations

import multiprocessing
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.campaign import fuzz, hostile, kills, locks
from tests.campaign.processes import import_package


@dataclass(frozen=True)
class Outcome:
    """Result of a trial: its part, a text to repeat it, and the fault, None if there is none."""

    part: str
    trial: str
    fault: str | None


@dataclass(frozen=True)
class Campaign:
    """Trials of a seed.

    Args:
        folder: directory for all files; that of a trial is kept if the trial fails.
        seed: seed of all random choices.
        runs: names of ``kills.RUNS`` that are killed and competed for.
        workers: number of processes.
    """

    folder: Path
    seed: int
    runs: tuple[str, ...] = tuple(kills.RUNS)
    workers: int = 2

    def run(self, counts: dict[str, int]) -> Iterator[Outcome]:
        """Yield the outcomes of ``counts`` trials of each part: kills, locks, hostile, fuzz."""
        import_package()
        folder = self.folder.resolve()
        names = self.runs if counts["kills"] else self.runs[: counts["locks"]]
        with ProcessPoolExecutor(self.workers, multiprocessing.get_context("fork")) as pool:
            used = names if counts["kills"] or counts["locks"] else ()
            known = dict(zip(used, pool.map(kills.reference, used, [folder] * len(used)), strict=True))
            runs = pool.submit(hostile.make_runs, folder).result() if counts["hostile"] else None
            trials = [trial for part in PARTS for trial in _trials(part, counts[part], known, runs)]
            yield from pool.map(self._try, trials)

    def _try(self, trial: Trial) -> Outcome:
        generator = random.Random(f"{self.seed} {trial.part} {trial.number}")
        folder = self.folder.resolve() / f"{trial.part}-{trial.number}"
        try:
            text, fault = PARTS[trial.part](trial, generator, folder)
        except Exception as error:  # a fault of the trial itself, which must not end the others
            text, fault = trial.name, f"{type(error).__name__}: {error}"
        if fault is None:
            shutil.rmtree(folder, ignore_errors=True)
        return Outcome(trial.part, f"{trial.part} {trial.number}: {text}", fault)


@dataclass(frozen=True)
class Trial:
    """Trial of a part: its number, and the run and reference that it uses."""

    part: str
    number: int
    name: str = ""
    known: kills.Reference | None = None
    runs: hostile.Runs | None = None


def _trials(part: str, count: int, known: dict[str, kills.Reference], runs: hostile.Runs | None) -> Iterator[Trial]:
    if part in ("kills", "locks"):
        names: Sequence[str] = tuple(known)
        for number in range(count):
            name = names[number % len(names)]
            yield Trial(part, number, name, known[name])
    else:
        total = len(hostile.CASES)
        spread = range(total) if count >= total else range(0, total, max(1, total // max(1, count)))
        for number in spread[:count] if part == "hostile" else range(count):
            yield Trial(part, number, runs=runs)


Answer = tuple[str, str | None]


def _kill(trial: Trial, generator: random.Random, folder: Path) -> Answer:
    assert trial.known is not None
    kill = kills.random_kill(trial.known, generator)
    return f"{trial.name}, {kill}", kills.kill_and_resume(trial.name, trial.known, kill, folder)


def _compete(trial: Trial, generator: random.Random, folder: Path) -> Answer:
    assert trial.known is not None
    pair = generator.choice((*locks.PAIRS, None))
    if pair is None:
        return "two sweeps", locks.compete_for_sweep(generator, folder)
    return f"{trial.name}, {pair.__name__}", locks.compete(trial.name, pair, trial.known, generator, folder)


def _hostile(trial: Trial, generator: random.Random, folder: Path) -> Answer:
    assert trial.runs is not None
    return hostile.CASES[trial.number].name, hostile.read(trial.number, trial.runs, folder)


def _fuzz(trial: Trial, generator: random.Random, folder: Path) -> Answer:
    command = fuzz.command_line(generator)
    return str(command), fuzz.answer(command, folder)


PARTS: dict[str, Callable[[Trial, random.Random, Path], Answer]] = {
    "kills": _kill,
    "locks": _compete,
    "hostile": _hostile,
    "fuzz": _fuzz,
}
"""Functions that make a trial of each part and return its text and its fault."""
