"""Transfers from the device within a training step: none in a dense step, one for each sampled architecture."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from nas.searches.gradient import GradientSearch
from tests.support.compose_tools import budget
from tests.support.error_tools import SEARCH, run

READERS = ("item", "tolist", "cpu", "numpy", "__bool__", "__float__", "__int__", "__index__", "__contains__")
DENSE = (
    "darts",
    "drnas",
    "snas",
    "fair_darts",
    "darts_2nd",
    "lambda_darts",
    "idarts",
    "oles",
    "gaea",
    "sgas",
    "milenas",
    "shapley_nas",
)
SAMPLED = ("gdas", "one_shot", "dsnas", "nasp")


@pytest.fixture
def transfers(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Record for each training step the methods of tensors that wait for the device, by caller."""
    steps: list[list[str]] = []
    inside = False

    def recorded(name: str) -> Callable[..., Any]:
        original = getattr(torch.Tensor, name)

        def method(self: Tensor, *args: Any, **kwargs: Any) -> Any:
            frame = sys._getframe(1)
            # the step counters of PyTorch's optimizers are on the CPU
            if inside and "torch/optim" not in frame.f_code.co_filename.replace("\\", "/"):
                steps[-1].append(f"{name} at {Path(frame.f_code.co_filename).name}:{frame.f_lineno}")
            return original(self, *args, **kwargs)

        return method

    for name in READERS:
        monkeypatch.setattr(torch.Tensor, name, recorded(name))
    original = GradientSearch.training_step

    def step(self: GradientSearch, batch: Any, batch_idx: int) -> None:
        nonlocal inside
        steps.append([])
        inside = True
        original(self, batch, batch_idx)
        inside = False

    monkeypatch.setattr(GradientSearch, "training_step", step)
    return steps


@pytest.mark.parametrize("method", [*DENSE, *SAMPLED])
def test_steps_wait_for_the_device_only_to_sample(method: str, tmp_path: Path, transfers: list[list[str]]) -> None:
    options = ("~callbacks.stop_on_nan", "trainer.limit_val_batches=0", "fold_weights=true")
    run("search", *SEARCH, f"method={method}", *budget(method), *options, f"hydra.run.dir={tmp_path}/r").succeeded()
    assert transfers
    limit = 2 if method in SAMPLED else 0  # a weight step and an architecture step
    assert all(len(found) <= limit for found in transfers), max(transfers, key=len)
    assert method in DENSE or any(transfers), "the test sees the transfer of a sample"
