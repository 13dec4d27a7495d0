"""Learning rates of a search that change per step, and of a resumed search of another length."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

import pytest
from torch.optim.lr_scheduler import CosineAnnealingLR

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


def test_schedule_follows_the_length_of_a_resumed_run(tmp_path: Path) -> None:
    started = train(build(weight={"scheduler": partial(CosineAnnealingLR, T_max=4)}), batches(1), epochs=2)
    started.trainer.save_checkpoint(tmp_path / "last.ckpt")
    resumed = build(weight={"scheduler": partial(CosineAnnealingLR, T_max=8)})
    rates: list[float] = []

    def note(observation: object) -> None:
        if getattr(observation, "phase", "") == "train":
            rates.append(resumed.trainer.optimizers[0].param_groups[0]["lr"])

    resumed.observers.append(note)
    train(resumed, batches(1), epochs=8, ckpt_path=tmp_path / "last.ckpt")
    shares = [1 + math.cos(math.pi * epoch / 8) for epoch in range(2, 8)]
    assert rates == pytest.approx([LR / 2 * share / shares[0] for share in shares]), "half the rate after 2 of 4 epochs"
