"""Rates that change within an epoch, against the cards' recipes written out step by step."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from nas.training.lr_decay import LRDecay
from nas.training.module import Training
from nas.utils.errors import NasError
from tests.training.test_module import Small, data

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
    """``epochs`` of the configuration, and 5: e < 5 in steps, then a cosine of e - 5, and zero from ``epochs`` on."""
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
    """A straight line from 1e-4 in the first 5 epochs, a cosine down to 0 in the others, both by step."""
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
    found = []
    for _ in range(epochs * steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


@pytest.mark.parametrize(
    ("options", "truth", "lr", "epochs", "before"),
    [
        (AUTODL, autodl, 0.025, 300, 5),
        (AUTODL, autodl, 0.1, 250, 5),
        (DSNAS, dsnas, 0.34, 240, 0),
        (SPOS, spos, 0.5, 240, 0),
    ],
)
@pytest.mark.parametrize("steps", [1, 7])
def test_against_the_recipes(options: Any, truth: Any, lr: float, epochs: int, before: int, steps: int) -> None:
    found = stepped(lr, epochs, steps, options)
    assert found == pytest.approx(truth(lr, epochs - before, steps), rel=1e-9, abs=1e-12)


def test_by_hand() -> None:
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


class Steps(pl.Callback):
    """The rate of each optimizer step, and its kill."""

    def __init__(self, stop: int | None = None) -> None:
        self.rates: list[float] = []
        self.stop = stop

    def on_before_optimizer_step(self, trainer: pl.Trainer, module: pl.LightningModule, optimizer: Any) -> None:
        self.rates.append(optimizer.param_groups[0]["lr"])

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if trainer.current_epoch + 1 == self.stop:
            trainer.should_stop = True


def fitted(
    steps: Steps, accumulated: int, checkpoint: Path | None = None, warmup: int = 2
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
def test_a_training_counts_its_steps(accumulated: int, steps: int) -> None:
    seen = Steps()
    fitted(seen, accumulated)
    before, every = 2 * steps, 8 * steps
    rising = [0.01 + 0.09 * t / before for t in range(before)]
    falling = [0.05 * (1 + math.cos(math.pi * t / (every - before))) for t in range(every - before)]
    assert seen.rates == pytest.approx([*rising, *falling], rel=1e-9)


def test_goes_on_from_a_checkpoint(tmp_path: Path) -> None:
    whole = Steps()
    _, complete = fitted(whole, 1)
    first = Steps(stop=3)
    trainer, _ = fitted(first, 1)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    second = Steps()
    _, resumed = fitted(second, 1, tmp_path / "last.ckpt")
    assert len(first.rates) == 12 and first.rates + second.rates == whole.rates
    for name, value in complete.network.state_dict().items():
        assert torch.equal(resumed.network.state_dict()[name], value), name


@pytest.mark.parametrize(("epochs", "steps"), [(12, 4), (8, 2), (8, 6)])
def test_goes_on_along_the_curve_of_its_own_configuration(epochs: int, steps: int) -> None:
    """With epochs added, and with other numbers of steps: what comes is what a whole run has there."""
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
)
def test_bad_values(options: dict[str, Any], words: str) -> None:
    with pytest.raises(NasError, match=words):
        LRDecay(torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0), 10, **options)


def test_a_run_shorter_than_its_warm_up_and_rest() -> None:
    """What a trial of two epochs sees: the beginning of the warm-up."""
    assert stepped(0.1, 2, 2, AUTODL) == pytest.approx([0.0, 0.01, 0.02, 0.03])
    assert stepped(0.1, 5, 1, AUTODL) == pytest.approx([0.0, 0.02, 0.04, 0.06, 0.08])


@pytest.mark.parametrize(("warmup", "said"), [(8, True), (7, False)])
def test_a_warm_up_without_an_end_is_told(warmup: int, said: bool, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "nas.training.module"):
        fitted(Steps(stop=1), 1, warmup=warmup)
    assert any("rises in all 8 epochs" in line for line in caplog.messages) == said
