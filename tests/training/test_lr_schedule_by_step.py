"""nas.training.lr_schedule: learning rates that change within epochs, against published schedules."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from nas.training.lr_schedule import LRDecay
from nas.training.network_training import Training
from nas.utils.errors import NasError
from tests.support.case_ids import option_ids
from tests.support.lr_tools import rates_by_step
from tests.training.test_network_training import Small, data

AUTODL = {
    "schedule": "cosine",
    "interval": "warmup",
    "warmup_epochs": 5,
    "warmup_start_lr": 0.0,
    "final_epochs_at_min": 5,
}
DSNAS = {"schedule": "cosine", "interval": "step", "warmup_epochs": 5, "warmup_start_lr": 1e-4}
SPOS = {"schedule": "linear", "interval": "step", "slow_tail_epochs": 0}


def autodl(lr: float, epochs: int, steps: int) -> list[float]:
    """Return the rates of AutoDL-Projects: a warm-up per step in 5 epochs, a cosine, then 5 epochs of zero."""
    found = []
    for e in range(epochs + 5):
        for i in range(steps):
            if e < 5:
                found.append((e / 5 + i / steps / 5) * lr)
            elif e < epochs:
                found.append(lr * (1 + math.cos(math.pi * (e - 5) / epochs)) / 2)
            else:
                found.append(0.0)
    return found


def dsnas(lr: float, epochs: int, steps: int) -> list[float]:
    """Return the rates of DSNAS: linear from 1e-4 in the first 5 epochs, then a cosine to 0, both per step."""
    before, every = 5 * steps, epochs * steps
    return [
        1e-4 + (lr - 1e-4) * t / before
        if t < before
        else lr * (1 + math.cos(math.pi * (t - before) / (every - before))) / 2
        for t in range(every)
    ]


def spos(lr: float, epochs: int, steps: int) -> list[float]:
    return [lr * (1 - t / (epochs * steps)) for t in range(epochs * steps)]


def stepped(lr: float, epochs: int, steps: int, options: dict[str, Any]) -> list[float]:
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=lr)
    scheduler = LRDecay(optimizer, epochs, **options)
    scheduler.set_steps_per_epoch(steps)
    return rates_by_step(scheduler, epochs * steps)


@pytest.mark.parametrize(
    ("options", "truth", "lr", "epochs", "before"),
    [
        (AUTODL, autodl, 0.025, 300, 5),
        (AUTODL, autodl, 0.1, 250, 5),
        (DSNAS, dsnas, 0.34, 240, 0),
        (SPOS, spos, 0.5, 240, 0),
    ],
    ids=["autodl-300", "autodl-250", "dsnas", "spos"],
)
@pytest.mark.parametrize("steps", [1, 7])
def test_lr_decay_matches_published_schedules(
    options: Any, truth: Any, lr: float, epochs: int, before: int, steps: int
) -> None:
    found = stepped(lr, epochs, steps, options)
    assert found == pytest.approx(truth(lr, epochs - before, steps), rel=1e-9, abs=1e-12)


def test_lr_decay_at_selected_steps() -> None:
    found = stepped(0.025, 300, 10, AUTODL)
    by_hand = {
        0: 0.0,
        1: 0.0005,
        49: 0.0245,
        50: 0.025,
        59: 0.025,
        2949: 0.025 * (1 + math.cos(289 * math.pi / 295)) / 2,
    }
    assert {t: found[t] for t in by_hand} == pytest.approx(by_hand) and found[2950:] == [0.0] * 50  # fmt: skip


class RecordRates(pl.Callback):
    """Record the learning rate of each optimizer step, and stop after an epoch."""

    def __init__(self, stop: int | None = None) -> None:
        self.rates: list[float] = []
        self.stop = stop

    def on_before_optimizer_step(self, trainer: pl.Trainer, module: pl.LightningModule, optimizer: Any) -> None:
        self.rates.append(optimizer.param_groups[0]["lr"])

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if trainer.current_epoch + 1 == self.stop:
            trainer.should_stop = True


def fitted(
    steps: RecordRates, accumulated: int, checkpoint: Path | None = None, warmup: int = 2
) -> tuple[pl.Trainer, Training]:
    torch.manual_seed(0)
    sgd = partial(torch.optim.SGD, lr=0.1)
    scheduler = partial(
        LRDecay, T_max=8, schedule="cosine", interval="step", warmup_epochs=warmup, warmup_start_lr=0.01
    )
    training = Training(Small(), sgd, scheduler, classes=5)
    trainer = pl.Trainer(
        max_epochs=8, accelerator="cpu", devices=1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0, callbacks=[steps],
        accumulate_grad_batches=accumulated,
    )  # fmt: skip
    trainer.fit(training, datamodule=data(), ckpt_path=checkpoint, weights_only=True if checkpoint else None)
    return trainer, training


@pytest.mark.parametrize(("accumulated", "steps"), [(1, 4), (2, 2), (3, 2)])
def test_training_sets_the_steps_per_epoch(accumulated: int, steps: int) -> None:
    seen = RecordRates()
    fitted(seen, accumulated)
    before, every = 2 * steps, 8 * steps
    rising = [0.01 + 0.09 * t / before for t in range(before)]
    falling = [0.05 * (1 + math.cos(math.pi * t / (every - before))) for t in range(every - before)]
    assert seen.rates == pytest.approx([*rising, *falling], rel=1e-9)


def test_lr_decay_resumes_from_a_checkpoint(tmp_path: Path) -> None:
    whole = RecordRates()
    _, complete = fitted(whole, 1)
    first = RecordRates(stop=3)
    trainer, _ = fitted(first, 1)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    second = RecordRates()
    _, resumed = fitted(second, 1, tmp_path / "last.ckpt")
    assert len(first.rates) == 12 and first.rates + second.rates == whole.rates
    for name, value in complete.network.state_dict().items():
        assert torch.equal(resumed.network.state_dict()[name], value), name


@pytest.mark.parametrize(("epochs", "steps"), [(12, 4), (8, 2), (8, 6)])
def test_lr_decay_follows_its_own_options_after_a_resume(epochs: int, steps: int) -> None:
    """Resume with more epochs or other steps per epoch, and expect the rates of an uninterrupted run."""
    options = {"schedule": "cosine", "interval": "step", "warmup_epochs": 2, "warmup_start_lr": 0.01}

    def begun(epochs: int, steps: int) -> tuple[torch.optim.Optimizer, LRDecay]:
        optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.1)
        scheduler = LRDecay(optimizer, epochs, **options)
        scheduler.set_steps_per_epoch(steps)
        return optimizer, scheduler

    optimizer, scheduler = begun(8, 4)
    for _ in range(3 * 4):
        optimizer.step()
        scheduler.step()
    other, resumed = begun(epochs, steps)
    other.load_state_dict(optimizer.state_dict())
    resumed.load_state_dict(scheduler.state_dict())
    found = []
    for _ in range((epochs - 3) * steps - 1):
        other.step()
        resumed.step()
        found.append(other.param_groups[0]["lr"])
    assert found == pytest.approx(stepped(0.1, epochs, steps, options)[3 * steps + 1 :], rel=1e-9)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"interval": "steps"}, "interval=steps: unknown"),
        ({"interval": "step", "warmup_epochs": 5}, "warmup_start_lr=0.0"),
        ({"interval": "warmup", "warmup_epochs": 5}, "warmup_start_lr=0.0"),
        ({"final_epochs_at_min": -1}, "final_epochs_at_min=-1"),
        ({"final_epochs_at_min": 10}, "final_epochs_at_min=10: all 10 epochs"),
    ],
    ids=option_ids,
)
def test_lr_decay_rejects_invalid_step_options(options: dict[str, Any], words: str) -> None:
    with pytest.raises(NasError, match=words):
        LRDecay(torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0), 10, **options)


def test_lr_decay_in_a_run_shorter_than_its_warm_up() -> None:
    """Expect the start of the warm-up in a run of two epochs."""
    assert stepped(0.1, 2, 2, AUTODL) == pytest.approx([0.0, 0.01, 0.02, 0.03])
    assert stepped(0.1, 5, 1, AUTODL) == pytest.approx([0.0, 0.02, 0.04, 0.06, 0.08])


@pytest.mark.parametrize(("warmup", "logged"), [(8, True), (7, False)])
def test_training_logs_a_warm_up_without_decay(warmup: int, logged: bool, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "nas.training.network_training"):
        fitted(RecordRates(stop=1), 1, warmup=warmup)
    assert any("rises in all 8 epochs" in line for line in caplog.messages) == logged
