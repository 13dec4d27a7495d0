"""Measure steps on Penn Treebank through search.py and train.py, in turn with those of the authors of DARTS.

    python tools/bench_text.py REFS DATA [--programs darts darts_2nd train] [--rounds 3] [--steps 6] [--size N] ...

REFS is a folder with a clone of github.com/quark0/darts, DATA a folder with ``ptb/ptb.{train,valid,test}.txt``. The
programs are those of ``tools/authors_text.py``, each in a process of its own, with the published sizes by default. All
chunks have 35 rows. Prints one JSON line per run, and one per program: median seconds of both, and median, lowest and
highest ratio (authors' seconds / ours) over the rounds. On a machine with other load use ``--processor-time`` with
``--threads 1``.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from tools.authors_text import Seconds, median_step, now  # noqa: E402

SIZES = {"darts": (300, 256), "darts_2nd": (300, 256), "train": (850, 64)}
"""Published size of hidden states and number of columns, by program."""
TRAINING = ("genotype=RNN_DARTS_V2", "protocol=darts_ptb", "dataset.length_std=0", "trainer.limit_test_batches=1")


class StepClock(pl.Callback):
    """Write the median seconds of the steps of the last epoch to a file."""

    def __init__(self, file: str) -> None:
        self.file = Path(file)
        self.starts: list[Seconds] = []

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.starts = []

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self.starts.append(now())

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *rest: Any) -> None:
        self.file.write_text(json.dumps(median_step(self.starts, now())))


def measure_authors(options: argparse.Namespace, program: str, size: int, batch: int) -> dict[str, Any]:
    """Run the authors' program, and return its result."""
    command = [sys.executable, str(ROOT / "tools" / "authors_text.py"), str(options.refs), str(options.data / "ptb")]
    command += [program, "--steps", str(options.steps), "--epochs", str(options.epochs), "--size", str(size)]
    command += ["--batch-size", str(batch), "--threads", str(options.threads)]
    command += ["--validate"] if options.validate else []
    return json.loads(_output(command).splitlines()[-1])


def measure_ours(options: argparse.Namespace, program: str, size: int, batch: int) -> dict[str, Any]:
    """Run search.py or train.py, and return times, memory, and perplexities per epoch."""
    script, width = "search", "space.hidden_size"
    chosen: Sequence[str] = (f"experiment={program}/recurrent_ptb",)
    if program == "train":
        script, width, chosen = "train", "network.hidden_size", TRAINING
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, str(ROOT / f"{script}.py"), *chosen, f"{width}={size}", f"paths.data={options.data}"]
        command += [f"dataset.batch_size={batch}", "dataset.short_probability=0", f"epochs={options.epochs}"]
        command += [f"trainer.limit_train_batches={options.steps}", f"threads={options.threads}"]
        command += ["+callbacks.clock._target_=tools.bench_text.StepClock", f"+callbacks.clock.file={directory}/clock"]
        command += [] if options.validate else ["trainer.limit_val_batches=0"]
        _output([*command, *options.overrides, f"hydra.run.dir={directory}/run"], cwd=directory)
        summary = json.loads(Path(directory, "run", "summary.json").read_text())
        found = json.loads(Path(directory, "clock").read_text())
        rows = list(csv.DictReader(Path(directory, "run", "metrics.csv").read_text().splitlines()))
    found["peak_memory_bytes"] = summary["peak_memory_bytes"]
    for part in ("train", "val"):
        values = [row[f"{part}/perplexity"] for row in rows if row.get(f"{part}/perplexity")]
        found[f"{part}_perplexity"] = [round(float(value), 1) for value in values]
    return found


def _output(command: Sequence[str], cwd: str | None = None) -> str:
    """Return the output of a command. Ends the program with its last line if it fails."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {((done.stderr or done.stdout).strip().splitlines() or [''])[-1]}")
    return done.stdout


def summarize(authors: Sequence[float], ours: Sequence[float]) -> dict[str, float]:
    """Return the median seconds of both, and the ratios over rounds."""
    ratios = [one / other for one, other in zip(authors, ours, strict=True)]
    found = {"authors": statistics.median(authors), "ours": statistics.median(ours)}
    found |= {"ratio": statistics.median(ratios), "lowest": min(ratios), "highest": max(ratios)}
    return {name: round(value, 3) for name, value in found.items()}


def run(options: argparse.Namespace) -> None:
    """Measure all programs, round by round."""
    for program in options.programs:
        size, batch = options.size or SIZES[program][0], options.batch_size or SIZES[program][1]
        seconds: dict[str, list[float]] = {"authors": [], "ours": []}
        for _ in range(options.rounds):
            for who, measured in (("authors", measure_authors), ("ours", measure_ours)):
                found = measured(options, program, size, batch)
                seconds[who].append(found["step_cpu_seconds" if options.processor_time else "step_seconds"])
                print(json.dumps({"program": program, "code": who, "size": size, "batch": batch, **found}), flush=True)
        print(json.dumps({"program": program, **summarize(seconds["authors"], seconds["ours"])}), flush=True)


def parse_arguments(given: Sequence[str]) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("refs", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--programs", nargs="+", choices=SIZES, default=list(SIZES))
    for name, default in (("rounds", 3), ("steps", 6), ("epochs", 1), ("threads", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--size", type=int, help="hidden states; default: as published")
    parser.add_argument("--batch-size", type=int, help="columns; default: as published")
    parser.add_argument("--processor-time", action="store_true", help="compare seconds of the processor")
    parser.add_argument("--validate", action="store_true", help="validate after each epoch")
    parser.add_argument("--overrides", nargs="+", default=[], help="overrides of search.py and train.py")
    found = parser.parse_args(given)
    found.refs, found.data = found.refs.absolute(), found.data.absolute()
    if not (found.refs / "darts" / "rnn" / "train_search.py").is_file():
        parser.error(f"{found.refs}: no clone of github.com/quark0/darts in a folder named darts")
    return found


if __name__ == "__main__":
    run(parse_arguments(sys.argv[1:]))
