"""Killed and resumed runs end bit-equal to uninterrupted ones."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch

from tests.support.compose_tools import QUERYING, searches, succeeded, tiny
from tests.support.resume_tools import (
    DARTS,
    EPOCHS,
    arguments_of,
    assert_equal,
    assert_same_results,
    assert_same_run,
    history,
    kill,
    resume,
    run,
)

QUICK = ("gdas", "one_shot")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that runs the uninterrupted search of a method once and returns its directory."""

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
def test_killed_search_resumes_bit_equal(method: str, tmp_path: Path, uninterrupted: Callable[[str], Path]) -> None:
    whole, broken = uninterrupted(method), tmp_path / "broken"
    kill("search", arguments_of(method), broken, epoch=2, batch=1)
    assert len(history(broken)) == 2
    said = resume("search", broken)
    assert "epoch 3/4" in said and "epoch 2/4" not in said

    assert_same_run(whole, broken, "search")
    assert_same_results(whole, broken)
    assert len(history(whole)) == EPOCHS
    losses = [line["train/loss"] for line in history(whole)]
    assert len(set(losses)) == EPOCHS, "every epoch differs, so that repeating one would show"


@pytest.mark.parametrize(
    ("method", "space"),
    [
        ("gdas", "trans_nas_bench_101_micro"),
        pytest.param("drnas", "trans_nas_bench_101_micro", marks=pytest.mark.slow),
        pytest.param("gdas", "nas_bench_1shot1_1", marks=pytest.mark.slow),
        pytest.param("drnas", "nas_bench_1shot1_2", marks=pytest.mark.slow),
        pytest.param("darts_pt", "nas_bench_1shot1_3", marks=pytest.mark.slow),
    ],
)
def test_killed_search_in_another_space_resumes_bit_equal(method: str, space: str, tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    succeeded(run("search", arguments_of(method, space), whole))
    kill("search", arguments_of(method, space), broken, epoch=2, batch=1)
    resume("search", broken)
    assert_same_run(whole, broken, "search")
    assert_same_results(whole, broken)


def test_search_killed_before_its_checkpoint_repeats_the_epoch(
    tmp_path: Path, uninterrupted: Callable[[str], Path]
) -> None:
    """The epoch has a line in history.jsonl, but the checkpoint is of the epoch before."""
    whole, broken = uninterrupted("gdas"), tmp_path / "broken"
    kill("search", arguments_of("gdas"), broken, epoch=2, batch=None)
    assert len(history(broken)) == 3
    resume("search", broken / "checkpoints" / "last.ckpt")
    assert_same_run(whole, broken, "search")
    assert history(whole) == history(broken)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["gdas", "drnas_progressive", "p_darts", "darts_pt"])
def test_killed_distributed_search_resumes_bit_equal(method: str, tmp_path: Path) -> None:
    """Cover stages with a supernet each, and edges that are already decided."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    arguments = [*arguments_of(method), "trainer=ddp_cpu"]
    succeeded(run("search", arguments, whole))
    kill("search", arguments, broken, epoch=2, batch=0)
    resume("search", broken)
    assert_same_run(whole, broken, "search")
    assert len(history(whole)) == EPOCHS and history(whole) == history(broken)


@pytest.mark.parametrize(
    "more", [(), pytest.param(("ema=0.7", "trainer.accumulate_grad_batches=2"), marks=pytest.mark.slow)]
)
def test_killed_training_resumes_bit_equal(more: tuple[str, ...], tmp_path: Path) -> None:
    """Cover drop path, which samples from the global generator, and an average of the weights."""
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
    said = resume("train", broken)
    assert "epoch 3/4" in said and "epoch 2/4" not in said
    assert "GPU available" not in said, "messages of Lightning are silenced"
    assert_same_run(whole, broken, "random")
    first, second = (torch.load(p / "model.pt", weights_only=True) for p in (whole, broken))
    assert_equal(first, second, "model.pt")


def test_assert_equal_detects_differences() -> None:
    value = {"a": [torch.zeros(2), 1], "b": "x"}
    assert_equal(value, {"a": [torch.zeros(2), 1], "b": "x"}, "value")
    for other in (
        {"a": [torch.full((2,), 1e-45), 1], "b": "x"},
        {"a": [torch.zeros(2)], "b": "x"},
        {"b": "x", **value},
    ):
        with pytest.raises(AssertionError):
            assert_equal(value, other, "value")
