"""Learning rates in phases: restarts, lengths and resumed runs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.optim import SGD
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler

from nas.training.search_lr import CosineThenProjection, RestartedCosine, StagedCosine


def rates(optimizer: SGD, scheduler: LRScheduler, epochs: int) -> list[float]:
    """Return the learning rate of each epoch."""
    found = []
    for _ in range(epochs):
        found.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        scheduler.step()
    return found


def optimizer() -> SGD:
    return SGD([nn.Parameter(torch.zeros(1))], lr=0.025)


@pytest.mark.parametrize(("restart", "of", "to_end"), [(30, 60, False), (6, 21, True)])
def test_rates_are_those_of_two_optimizers(restart: int, of: int, to_end: bool) -> None:
    """The authors build an optimizer and a scheduler for the new weights after the last split."""
    restarted, first, second = optimizer(), optimizer(), optimizer()
    found = rates(restarted, RestartedCosine(restarted, of, restart, of, to_end, eta_min=0.001), of)
    length = of - restart if to_end else of
    expected = rates(first, CosineAnnealingLR(first, of, eta_min=0.001), restart)
    expected += rates(second, CosineAnnealingLR(second, length, eta_min=0.001), of - restart)
    assert found == pytest.approx(expected, rel=1e-9)
    assert found[restart] == 0.025


def test_other_lengths_are_divided_in_proportion() -> None:
    short = optimizer()
    found = rates(short, RestartedCosine(short, 10, 30, 60), 10)
    assert [e for e, rate in enumerate(found) if rate == 0.025] == [0, 5]


@pytest.mark.parametrize(
    "build",
    [
        lambda sgd, length: RestartedCosine(sgd, length, 30, 60),
        lambda sgd, length: StagedCosine(sgd, length, 3),
        lambda sgd, length: CosineThenProjection(sgd, length, 50, 25),
    ],
    ids=["restarted", "staged", "projection"],
)
def test_resumed_run_of_another_length_has_the_rates_of_that_length(
    build: Callable[[SGD, int], LRScheduler],
) -> None:
    started, resumed, whole = optimizer(), optimizer(), optimizer()
    first, second = build(started, 30), build(resumed, 60)
    rates(started, first, 5)
    second.load_state_dict(first.state_dict())
    rates(resumed, second, 1)
    assert rates(resumed, second, 50) == pytest.approx(rates(whole, build(whole, 60), 56)[6:])
