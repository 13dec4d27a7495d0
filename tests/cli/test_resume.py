"""A run that was killed and resumed ends, bit for bit, where an uninterrupted one does."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.support.compose_tools import QUERYING, lines, script, searches, succeeded, tiny

QUICK = ("gdas", "one_shot")
EPOCHS = 4
DARTS = (
    "Genotype(normal=[('sep_conv_3x3', 1), ('skip_connect', 0), ('sep_conv_3x3', 0), ('dil_conv_3x3', 1), "
    "('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('skip_connect', 0), ('sep_conv_3x3', 1)], normal_concat=range(2, 6), "
    "reduce=[('max_pool_3x3', 0), ('skip_connect', 1), ('max_pool_3x3', 0), ('skip_connect', 2), "
    "('skip_connect', 2), ('max_pool_3x3', 0), ('skip_connect', 2), ('avg_pool_3x3', 1)], reduce_concat=range(2, 6))"
)


def run(name: str, arguments: list[str], directory: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """One run of a script in a directory of its own."""
    return script(
        name, *arguments, f"trainer.max_epochs={EPOCHS}", f"hydra.run.dir={directory}", *more, cwd=directory.parent
    )


def kill(name: str, arguments: list[str], directory: Path, epoch: int, batch: int | None) -> None:
    """A run that is killed in ``epoch`` (from 0), after ``batch`` or else at the epoch's end."""
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
    found: dict[str, Any] = torch.load(directory / "checkpoints" / "last.ckpt", weights_only=True)
    return found


def assert_equal(first: Any, second: Any, place: str) -> None:
    """The same to the last bit, at any depth."""
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
    one, other = checkpoint(first), checkpoint(second)
    assert one["epoch"] == EPOCHS - 1 and one["state_dict"] and one["optimizer_states"]
    for key in ("epoch", "global_step", "state_dict", "optimizer_states", "lr_schedulers", *keys):
        assert_equal(one[key], other[key], key)
    assert (first / "metrics.csv").read_bytes() == (second / "metrics.csv").read_bytes()
    assert (first / "genotype.json").read_bytes() == (second / "genotype.json").read_bytes()


def arguments_of(method: str) -> list[str]:
    """A search with four steps an epoch."""
    return [*tiny(method), "dataset.size=128"]


def history(directory: Path) -> list[dict[str, Any]]:
    return [
        {key: value for key, value in line.items() if key != "seconds"} for line in lines(directory / "history.jsonl")
    ]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The directory of a method's whole search, run once."""

    @cache
    def search(method: str) -> Path:
        directory = tmp_path_factory.mktemp(method) / "whole"
        succeeded(run("search", arguments_of(method), directory))
        return directory

    return search


@pytest.mark.parametrize(
    "method",
    [pytest.param(m, marks=[] if m in QUICK else [pytest.mark.slow]) for m in searches() if m not in QUERYING],
)
def test_killed_search_goes_on(method: str, tmp_path: Path, uninterrupted: Callable[[str], Path]) -> None:
    whole, broken = uninterrupted(method), tmp_path / "broken"
    kill("search", arguments_of(method), broken, epoch=2, batch=1)
    assert len(history(broken)) == 2
    said = succeeded(script("search", f"ckpt_path={broken}", cwd=tmp_path))
    assert "epoch 3/4" in said and "epoch 2/4" not in said

    assert_same_run(whole, broken, "search")
    assert len(history(whole)) == EPOCHS and history(whole) == history(broken)
    losses = [line["train/loss"] for line in history(whole)]
    assert len(set(losses)) == EPOCHS, "every epoch differs, so that repeating one would show"


def test_search_killed_before_the_checkpoint(tmp_path: Path, uninterrupted: Callable[[str], Path]) -> None:
    """The epoch has its line in history.jsonl, but the checkpoint is of the one before: it is repeated."""
    whole, broken = uninterrupted("gdas"), tmp_path / "broken"
    kill("search", arguments_of("gdas"), broken, epoch=2, batch=None)
    assert len(history(broken)) == 3
    succeeded(script("search", f"ckpt_path={broken}/checkpoints/last.ckpt", cwd=tmp_path))
    assert_same_run(whole, broken, "search")
    assert history(whole) == history(broken)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["gdas", "drnas_progressive", "p_darts", "darts_pt"])
def test_killed_distributed_search_goes_on(method: str, tmp_path: Path) -> None:
    """With stages too, each with its own supernet, and with edges that are decided."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    arguments = [*arguments_of(method), "trainer=ddp_cpu"]
    succeeded(run("search", arguments, whole))
    kill("search", arguments, broken, epoch=2, batch=0)
    succeeded(script("search", f"ckpt_path={broken}", cwd=tmp_path))
    assert_same_run(whole, broken, "search")
    assert len(history(whole)) == EPOCHS and history(whole) == history(broken)


@pytest.mark.parametrize(
    "more", [(), pytest.param(("ema=0.7", "trainer.accumulate_grad_batches=2"), marks=pytest.mark.slow)]
)
def test_killed_training_goes_on(more: tuple[str, ...], tmp_path: Path) -> None:
    """With drop path, whose draws are from the global generator; and with an average of the weights."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    arguments = [
        *tiny()[-4:],
        f'genotype="{DARTS}"',
        "network.channels=4",
        "network.layers=3",
        "training.drop_path=0.5",
        *more,
    ]
    succeeded(run("train", arguments, whole))
    kill("train", arguments, broken, epoch=2, batch=1)
    said = succeeded(script("train", f"ckpt_path={broken}", cwd=tmp_path))
    assert "epoch 3/4" in said and "epoch 2/4" not in said
    assert "GPU available" not in said, "Lightning keeps quiet about itself"
    assert_same_run(whole, broken, "random")
    first, second = (torch.load(p / "model.pt", weights_only=True) for p in (whole, broken))
    assert_equal(first, second, "model.pt")


def test_differences_are_seen() -> None:
    value = {"a": [torch.zeros(2), 1], "b": "x"}
    assert_equal(value, {"a": [torch.zeros(2), 1], "b": "x"}, "value")
    for other in (
        {"a": [torch.full((2,), 1e-45), 1], "b": "x"},
        {"a": [torch.zeros(2)], "b": "x"},
        {"b": "x", **value},
    ):
        with pytest.raises(AssertionError):
            assert_equal(value, other, "value")
