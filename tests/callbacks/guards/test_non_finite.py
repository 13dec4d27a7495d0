"""Stop on a loss that is not finite: when losses are checked on the CPU and on other devices."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from nas.callbacks.guards.non_finite import StopOnNonFinite
from nas.relaxations.softmax import Softmax
from nas.searches.gradient import GradientSearch
from nas.spaces.nas_bench_201.space import NasBench201
from nas.utils.errors import NasError
from tests.support.search_tools import weight_step


class Elsewhere(Tensor):
    """A tensor that claims to be on a GPU."""

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return torch.device("cuda")


def watched(every: int) -> tuple[StopOnNonFinite, Any, GradientSearch]:
    """Return a callback that observes a search, with a trainer of a few attributes."""
    space = NasBench201((3, 8, 8), 10, channels=2, cells_per_stage=1)
    search = GradientSearch(space, Softmax, weight_step())
    loop = SimpleNamespace(epoch_loop=SimpleNamespace(batch_idx=0))
    trainer = SimpleNamespace(fit_loop=loop, is_last_batch=False, current_epoch=2, checkpoint_callbacks=[])
    callback = StopOnNonFinite(every)
    callback.on_train_start(trainer, search)  # type: ignore[arg-type]
    return callback, trainer, search


def step(parts: tuple[StopOnNonFinite, Any, GradientSearch], number: int, *losses: Tensor, last: bool = False) -> None:
    """Observe the losses of a step, and end it."""
    callback, trainer, search = parts
    trainer.fit_loop.epoch_loop.batch_idx, trainer.is_last_batch = number, last
    for loss in losses:
        search.observe("arch", loss, (torch.zeros(1, 3, 8, 8), torch.zeros(1)), {})
    callback.on_train_batch_end(trainer, search, None, None, number)


def elsewhere(value: float) -> Tensor:
    return torch.tensor(value).as_subclass(Elsewhere)


@pytest.mark.parametrize("last", [True, False])
def test_pending_losses_are_checked_at_the_end_of_an_epoch(last: bool) -> None:
    """Off the CPU an epoch shorter than ``every`` is checked at its last step, not later."""
    parts = watched(every=50)
    step(parts, 0, elsewhere(1.0))
    step(parts, 1, elsewhere(float("nan")), elsewhere(1.0))
    if last:
        with pytest.raises(NasError, match="arch loss is nan in epoch 2, step 1:"):
            step(parts, 2, elsewhere(1.0), last=True)
    else:
        step(parts, 2, elsewhere(1.0))


def test_pending_losses_are_checked_every_few_steps() -> None:
    parts = watched(every=3)
    for number in range(3):
        step(parts, number, elsewhere(1.0))
    step(parts, 3, elsewhere(float("inf")))
    step(parts, 4, elsewhere(1.0))
    with pytest.raises(NasError, match="arch loss is inf in epoch 2, step 3:"):
        step(parts, 5, elsewhere(1.0))
    step(parts, 6, elsewhere(1.0), last=True)


def test_losses_are_checked_at_once_on_the_cpu() -> None:
    parts = watched(every=50)
    step(parts, 0, torch.tensor(1.0))
    with pytest.raises(NasError, match="arch loss is nan in epoch 2, step 1:"):
        parts[1].fit_loop.epoch_loop.batch_idx = 1
        parts[2].observe("arch", torch.tensor(float("nan")), (torch.zeros(1, 3, 8, 8), torch.zeros(1)), {})


def test_parameters_are_checked_at_the_end_of_an_epoch() -> None:
    parts = watched(every=50)
    next(iter(parts[2].weights.values())).data[0] = float("nan")
    step(parts, 0, torch.tensor(1.0))
    with pytest.raises(NasError, match="the first parameter that is not finite is 'supernet.stem.0.weight'"):
        step(parts, 1, torch.tensor(1.0), last=True)
