"""Runs that are killed and resumed, and their comparison with uninterrupted ones."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tests.support.compose_tools import lines, script, tiny

EPOCHS = 4

DARTS = (
    "Genotype(normal=[('sep_conv_3x3', 1), ('skip_connect', 0), ('sep_conv_3x3', 0), ('dil_conv_3x3', 1), "
    "('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('skip_connect', 0), ('sep_conv_3x3', 1)], normal_concat=range(2, 6), "
    "reduce=[('max_pool_3x3', 0), ('skip_connect', 1), ('max_pool_3x3', 0), ('skip_connect', 2), "
    "('skip_connect', 2), ('max_pool_3x3', 0), ('skip_connect', 2), ('avg_pool_3x3', 1)], reduce_concat=range(2, 6))"
)


def run(name: str, arguments: list[str], directory: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a directory of its own."""
    return script(
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
    assert (first / "metrics.csv").read_bytes() == (second / "metrics.csv").read_bytes()
    assert (first / "genotype.json").read_bytes() == (second / "genotype.json").read_bytes()


def arguments_of(method: str) -> list[str]:
    """Return the overrides of a search with four steps per epoch."""
    return [*tiny(method), "dataset.size=128"]


def history(directory: Path) -> list[dict[str, Any]]:
    """Return the lines of history.jsonl without their times."""
    return [
        {key: value for key, value in line.items() if key != "seconds"} for line in lines(directory / "history.jsonl")
    ]
