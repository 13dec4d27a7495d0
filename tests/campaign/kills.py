"""Runs that are killed at a random place and resumed until they end, compared with an uninterrupted run."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.campaign.comparison import differences
from tests.campaign.processes import Command, Ended, run, start

DATA = (
    "dataset=synthetic",
    "dataset.shape=[3,8,8]",
    "dataset.size=64",
    "dataset.test_size=16",
    "dataset.batch_size=16",
)
SMALL = ("space.channels=4", "space.cells_per_stage=1")
NETWORK = ("network.channels=4", "network.cells_per_stage=1")
CELL = "genotype=|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_1x1~2|"
ENAS = ("method.callbacks.0.steps=2", "method.callbacks.0.samples=3", "method.callbacks.1.final=3")
METHODS = ("darts", "darts_2nd", "gdas", "drnas", "snas", "setn", "rsps", "sdarts_adv", "darts_pt", "dsnas")
DARTS_SPACE = ("space=darts", "space.channels=4", "space.layers=3")
RUNS: dict[str, Command] = {
    **{name: Command("search", (f"method={name}", *SMALL, *DATA, "epochs=3")) for name in METHODS},
    "enas": Command("search", ("method=enas", *SMALL, *DATA, *ENAS, "epochs=3")),
    "p_darts": Command("search", ("method=p_darts", *DARTS_SPACE, *DATA, "epochs=3")),
    "drnas_progressive": Command("search", ("method=drnas_progressive", "space.cells_per_stage=1", *DATA, "epochs=4")),
    "regularized_evolution": Command(
        "search", ("method=regularized_evolution", *SMALL, *DATA, "proxy=params", "method.budget.queries=30")
    ),
    "repetitions": Command(
        "search",
        ("method=random_search", *SMALL, *DATA, "proxy=params", "method.budget.queries=5", "method.repetitions=4"),
    ),
    "rank_proxies": Command("search", ("mode=rank_proxies", "proxy=naswot", *SMALL, *DATA, "ranking.count=30")),
    "train": Command("train", (CELL, *DATA, *NETWORK, "epochs=3")),
    "train_ema": Command("train", (CELL, *DATA, *NETWORK, "epochs=3", "ema=0.9", "training.drop_path=0.2")),
}
"""Runs to kill, by name."""


@dataclass(frozen=True)
class Reference:
    """Uninterrupted run: its directory, its seconds, and the number of files that it renamed into place."""

    directory: Path
    seconds: float
    renames: int


@dataclass(frozen=True)
class Kill:
    """Place of a kill: before or after a rename of a file, or a share of the time of the reference."""

    number: signal.Signals
    rename: int | None = None
    before: bool = False
    share: float = 0.0

    def __str__(self) -> str:
        place = f"{'before' if self.before else 'after'} rename {self.rename}" if self.rename else f"{self.share:.0%}"
        return f"{self.number.name} {place}"


def reference(name: str, folder: Path) -> Reference:
    """Run ``name`` without a kill. Raises RuntimeError if it fails."""
    count = folder / f"{name}.renames"
    ended = run(_in(RUNS[name], folder / name), folder, f"{name}-reference", lambda: _observe(_write_count(count)))
    if ended.code:
        raise RuntimeError(f"{RUNS[name]}: {ended.errors}")
    return Reference(folder / name, ended.seconds, int(count.read_text()))


def random_kill(known: Reference, generator: random.Random) -> Kill:
    """Return a random place: half of the kills are at a rename, which leaves the files of a run half written."""
    number = generator.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT))
    if generator.random() < 0.5:
        return Kill(number, generator.randint(1, known.renames), generator.random() < 0.5)
    return Kill(number, share=generator.random())


def kill_and_resume(name: str, known: Reference, kill: Kill, folder: Path) -> str | None:
    """Kill a run, resume it, and return the fault if it is neither equal to the reference nor clearly refused."""
    directory = folder / "run"
    killed = _killed(_in(RUNS[name], directory), known, kill, folder)
    if kill.number != signal.SIGKILL and killed.code not in (0, 130, -kill.number):
        return f"exit code {killed.code} after {kill.number.name}: {killed.errors[:200]}"
    if "Traceback" in killed.errors:
        return f"a traceback after {kill.number.name}: {killed.errors.strip().splitlines()[-1][:200]}"
    if not (directory / "summary.json").exists():
        resumed = run(Command(RUNS[name].job, (f"ckpt_path={directory}",)), folder, "resumed")
        if resumed.code == 1 and not _holds_state(directory):
            return resumed.problem()
        if resumed.code:
            return f"resume failed with exit code {resumed.code}: {resumed.errors[:300]}"
    return fault(known, folder)


def fault(known: Reference, folder: Path) -> str | None:
    """Return the first differences of ``folder``/run from the reference; remove the folder if there is none."""
    found = differences(known.directory, folder / "run")
    if not found:
        shutil.rmtree(folder)
    return "; ".join(found[:3]) or None


def _killed(command: Command, known: Reference, kill: Kill, folder: Path) -> Ended:
    if kill.rename:
        return run(command, folder, "killed", lambda: _observe(_kill_at(kill)))
    running = start(command, folder, "killed")
    time.sleep(kill.share * known.seconds)
    running.send(kill.number)
    return running.wait()


def _in(command: Command, directory: Path) -> Command:
    return command.plus(f"hydra.run.dir={directory}")


def _holds_state(directory: Path) -> bool:
    """Return whether the run has stored anything that a resume could use."""
    files = ("checkpoints/last.ckpt", "scores.jsonl", "repetitions.jsonl")
    return any((directory / name).is_file() and (directory / name).stat().st_size > 0 for name in files)


Observer = Callable[[int, bool], None]


def _observe(observer: Observer) -> None:
    """Call the observer with the number of each rename of this process, before it and after it."""
    replace, count = os.replace, 0

    def counted(*args: Any, **options: Any) -> None:
        nonlocal count
        count += 1
        observer(count, True)
        replace(*args, **options)
        observer(count, False)

    os.replace = counted


def _write_count(path: Path) -> Observer:
    def write(count: int, before: bool) -> None:
        path.write_text(str(count))

    return write


def _kill_at(kill: Kill) -> Observer:
    def send(count: int, before: bool) -> None:
        if (count, before) == (kill.rename, kill.before):
            os.kill(os.getpid(), kill.number)

    return send
