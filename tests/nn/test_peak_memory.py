"""Peak memory of tensors against counts by hand."""

from __future__ import annotations

import torch
from torch import Tensor

from nas.nn.peak_memory import measure_peak

COUNT = 1000
SIZE = 4 * COUNT


def test_freed_tensors_do_not_count() -> None:
    def compute() -> None:
        x = torch.zeros(COUNT)
        for _ in range(5):
            x = x + 1

    assert measure_peak(compute) == 2 * SIZE


def test_views_and_changes_in_place_take_no_memory() -> None:
    def compute() -> Tensor:
        x = torch.zeros(COUNT)
        return x.view(10, -1).t().add_(1)

    assert measure_peak(compute) == SIZE


def test_saved_activations_and_gradients_count() -> None:
    x = torch.zeros(COUNT, requires_grad=True)

    def compute() -> None:
        y = x
        for _ in range(3):
            y = y.exp()
        torch.autograd.grad(y, x, torch.ones(COUNT))

    # three outputs, the gradient of the last one, and the gradients before and after an exponential
    assert measure_peak(compute) == 6 * SIZE


def test_tensors_that_exist_before_do_not_count() -> None:
    kept = torch.zeros(COUNT)
    assert measure_peak(lambda: kept.add_(1)) == 0
    assert measure_peak(lambda: kept.sum()) == 4
