"""Learning rates of a search that change per step."""

from __future__ import annotations

from functools import partial

import pytest

from nas.training.lr_schedule import LRDecay
from tests.searches.test_steps import LR, batches, build, train


@pytest.mark.parametrize("interval", ["step", "epoch"])
def test_learning_rate_changes_per_step_or_epoch(interval: str) -> None:
    decay = partial(LRDecay, T_max=2, schedule="linear", slow_tail_epochs=0, interval=interval)
    search = build(weight={"scheduler": decay})
    rates: list[float] = []

    def note(observation: object) -> None:
        if getattr(observation, "phase", "") == "train":
            rates.append(search.trainer.optimizers[0].param_groups[0]["lr"])

    search.observers.append(note)
    train(search, batches(3), epochs=2)
    expected = [1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6] if interval == "step" else [1, 1, 1, 0.5, 0.5, 0.5]
    assert rates == pytest.approx([LR * share for share in expected])
