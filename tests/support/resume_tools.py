"""Runs that are killed and resumed, and their comparison with uninterrupted ones."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Timer
from pytorch_lightning.trainer.states import RunningStage
from torch import Tensor

from tests.support.compose_tools import lines, succeeded, tiny
from tests.support.forked_script import forked_script

EPOCHS = 4
MEASURED = ("search_seconds", "train_seconds", "step_seconds", "command", "commit")
MEASURED += ("cpu_seconds", "estimated_memory_bytes", "peak_memory_bytes")
"""Keys of summary.json that differ between equal runs."""

DARTS = (
    "Genotype(normal=[('sep_conv_3x3', 1), ('skip_connect', 0), ('sep_conv_3x3', 0), ('dil_conv_3x3', 1), "
    "('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('skip_connect', 0), ('sep_conv_3x3', 1)], normal_concat=range(2, 6), "
    "reduce=[('max_pool_3x3', 0), ('skip_connect', 1), ('max_pool_3x3', 0), ('skip_connect', 2), "
    "('skip_connect', 2), ('max_pool_3x3', 0), ('skip_connect', 2), ('avg_pool_3x3', 1)], reduce_concat=range(2, 6))"
)


def run(name: str, arguments: list[str], directory: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a directory of its own."""
    return forked_script(
        name, *arguments, f"trainer.max_epochs={EPOCHS}", f"hydra.run.dir={directory}", *more, cwd=directory.parent
    )


def kill(name: str, arguments: list[str], directory: Path, epoch: int, batch: int | None) -> None:
    """Run a script that is killed in ``epoch`` (from 0), after ``batch``, or at the end of the epoch if it is None."""
    options = {
        "_target_": "tests.support.compose_tools.KillOnce",
        "flag": directory.with_suffix(".killed"),
        "epoch": epoch,
    }
    options |= {} if batch is None else {"batch": batch}
    killed = run(name, arguments, directory, *(f"+callbacks.kill.{key}={value}" for key, value in options.items()))
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (directory / "summary.json").exists()
    assert checkpoint(directory)["epoch"] == epoch - 1


def resume(name: str, directory: Path) -> str:
    """Resume a killed run, which may be named by its checkpoint, to its end and return its output."""
    folder = next(path.parent for path in (directory, *directory.parents) if (path / ".hydra").is_dir())
    return succeeded(forked_script(name, f"ckpt_path={directory}", "~callbacks.kill", cwd=folder))


def checkpoint(directory: Path) -> dict[str, Any]:
    """Load the last checkpoint of a run."""
    found: dict[str, Any] = torch.load(directory / "checkpoints" / "last.ckpt", weights_only=True)
    return found


def assert_equal(first: Any, second: Any, place: str) -> None:
    """Assert that nested values are bit-equal."""
    assert type(first) is type(second), place
    if isinstance(first, Tensor):
        assert first.dtype == second.dtype and torch.equal(first, second), place
    elif isinstance(first, dict):
        assert list(first) == list(second), place
        for key in first:
            assert_equal(first[key], second[key], f"{place}.{key}")
    elif isinstance(first, list | tuple):
        assert len(first) == len(second), place
        for index, pair in enumerate(zip(first, second, strict=True)):
            assert_equal(*pair, f"{place}.{index}")
    else:
        assert first == second, place


def assert_same_run(first: Path, second: Path, *keys: str) -> None:
    """Assert that two runs of EPOCHS epochs have bit-equal checkpoints (``keys`` included) and equal files."""
    one, other = checkpoint(first), checkpoint(second)
    assert one["epoch"] == EPOCHS - 1 and one["state_dict"] and one["optimizer_states"]
    for key in ("epoch", "global_step", "state_dict", "optimizer_states", "lr_schedulers", *keys):
        assert_equal(one[key], other[key], key)
    assert metrics(first) == metrics(second)
    assert (first / "genotype.json").read_bytes() == (second / "genotype.json").read_bytes()


def assert_same_results(first: Path, second: Path) -> None:
    """Assert that two finished runs have equal checkpoints, files and summaries, except for measured times."""
    one, other = checkpoint(first), checkpoint(second)
    for key in ("epoch", "global_step", "state_dict", "optimizer_states", "lr_schedulers"):
        assert_equal(one[key], other[key], key)
    assert metrics(first) == metrics(second)
    for name in ("alphas.jsonl", "genotype.json", "queries.jsonl", "anytime.csv"):
        files = [directory / name for directory in (first, second)]
        assert files[0].exists() == files[1].exists(), name
        assert not files[0].exists() or files[0].read_bytes() == files[1].read_bytes(), name
    if (first / "history.jsonl").exists():
        assert [list(line.items()) for line in history(first)] == [list(line.items()) for line in history(second)]
    summaries = [json.loads((directory / "summary.json").read_text()) for directory in (first, second)]
    assert list(summaries[0]) == list(summaries[1])
    assert [{k: v for k, v in s.items() if k not in MEASURED} for s in summaries[:1]] == [
        {k: v for k, v in s.items() if k not in MEASURED} for s in summaries[1:]
    ]
    assert all((s["step_seconds"] is None) == (summaries[0]["step_seconds"] is None) for s in summaries)


def killed_before_summary(finished: Path, directory: Path) -> Path:
    """Copy a run as it is if it was killed between its last checkpoint and summary.json."""
    shutil.copytree(finished, directory)
    (directory / "summary.json").unlink()
    return directory


def arguments_of(method: str, space: str = "nas_bench_201") -> list[str]:
    """Return the overrides of a search with four steps per epoch."""
    return [*tiny(method, space), "dataset.size=128"]


def metrics(directory: Path) -> list[list[tuple[str, str]]]:
    """Return the rows of metrics.csv without the measured columns."""
    file = directory / "metrics.csv"
    if not file.exists():
        return []
    with file.open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    return [[(k, v) for k, v in row.items() if not k.startswith(("time/", "memory/"))] for row in rows]


def history(directory: Path) -> list[dict[str, Any]]:
    """Return the lines of history.jsonl without their times."""
    return [
        {key: value for key, value in line.items() if key != "seconds"} for line in lines(directory / "history.jsonl")
    ]


class TimerOfSteps(Timer):
    """Timer that is used up after a number of steps."""

    def __init__(self, steps: int) -> None:
        super().__init__("00:01:00:00")
        self.steps = steps
        self.passed = 0

    def time_elapsed(self, stage: str = RunningStage.TRAINING) -> float:
        return 3600.0 * (self.passed >= self.steps)

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any, **kwargs: Any) -> None:
        self.passed += 1
        super().on_train_batch_end(trainer, *args, **kwargs)


class StopAfter(pl.Callback):
    """Callback that ends the run after a step, in the middle of an epoch."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any, **kwargs: Any) -> None:
        trainer.should_stop = trainer.should_stop or trainer.global_step == self.step
