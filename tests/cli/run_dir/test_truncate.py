"""Resume from a checkpoint within an epoch, bit-equal to an uninterrupted run."""

from __future__ import annotations

import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint

from nas.cli.run_dir.truncate import complete_epochs
from nas.training.network_training import Training
from tests.support.compose_tools import script, succeeded, tiny
from tests.support.resume_tools import DARTS, assert_equal, checkpoint, run
from tests.training.test_network_training import SGD, Small, data


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "steps"),
    [(("ema=0.7", "trainer.accumulate_grad_batches=2"), 1), ((), 3)],
)
def test_training_resumes_from_a_checkpoint_within_the_epoch(more: tuple[str, ...], steps: int, tmp_path: Path) -> None:
    """Cover drop path, and an average of the weights with accumulated gradients; four batches per epoch.

    Means over the interrupted epoch, as in metrics.csv, are those of the batches after the resume.
    """
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    size = ("network.channels=4", "network.layers=3", "training.drop_path=0.5")
    every = f"callbacks.checkpoint.every_n_train_steps={steps}"
    arguments = [*tiny()[-4:], f'genotype="{DARTS}"', *size, every, *more]
    succeeded(run("train", arguments, whole))
    options = ("_target_=tests.support.compose_tools.KillOnce", f"flag={tmp_path}/killed", "epoch=1", "batch=2")
    killed = run("train", arguments, broken, *(f"+callbacks.kill.{option}" for option in options))
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert checkpoint(broken)["global_step"] == (3 if more else 6), "taken within the second epoch"
    succeeded(script("train", f"ckpt_path={broken}", "~callbacks.kill", cwd=tmp_path))
    one, other = checkpoint(whole), checkpoint(broken)
    for key in ("epoch", "global_step", "state_dict", "optimizer_states", "lr_schedulers", "random"):
        assert_equal(one[key], other[key], key)
    first, second = (torch.load(place / "model.pt", weights_only=True) for place in (whole, broken))
    assert_equal(first, second, "model.pt")


@pytest.mark.parametrize(("every", "within", "at_the_end"), [({"every_n_train_steps": 3}, 1, 2), ({}, 2, 3)])
def test_complete_epochs_of_checkpoints_within_and_at_the_end_of_epochs(
    every: dict[str, int], within: int, at_the_end: int, tmp_path: Path
) -> None:
    """Four batches per epoch: step 6 is within the second epoch, step 9 within the third; else at the end."""
    saved = ModelCheckpoint(tmp_path, filename="{step}", save_top_k=-1, save_on_train_epoch_end=True, **every)
    trainer = pl.Trainer(
        max_epochs=3, accelerator="cpu", devices=1, logger=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, callbacks=[saved],
    )  # fmt: skip
    trainer.fit(Training(Small(), SGD, classes=5), datamodule=data())
    steps = (6, 9) if every else (8, 12)
    for step, epochs in zip(steps, (within, at_the_end), strict=True):
        found = torch.load(tmp_path / f"step={step}.ckpt", weights_only=True)
        assert complete_epochs(found) == epochs and found["epoch"] == int((step - 1) / 4)


def test_training_seeds_each_rank_by_epoch_and_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint holds the generator of one rank and serves all ranks."""
    training = Training(Small(), SGD, classes=5)
    batch = (torch.zeros(1, 3, 2, 2), torch.zeros(1, dtype=torch.int64))
    drawn = {}
    for place in [(epoch, number, rank) for epoch in (0, 1) for number in (0, 1) for rank in (0, 1)] * 2:
        epoch, number, rank = place
        trainer = SimpleNamespace(world_size=2, global_rank=rank, current_epoch=epoch)
        monkeypatch.setattr(Training, "trainer", trainer)
        monkeypatch.setattr(Training, "current_epoch", epoch)
        training.on_train_batch_start(batch, number)
        value = float(torch.rand(()))
        assert drawn.setdefault(place, value) == value
    assert len(set(drawn.values())) == 8
