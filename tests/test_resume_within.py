"""A training that was killed within an epoch goes on from a checkpoint within it, to the same last bit."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import torch

from tests.compose_tools import script, succeeded, tiny
from tests.test_resume import DARTS, assert_equal, checkpoint, run


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "steps"),
    [(("ema=0.7", "trainer.accumulate_grad_batches=2"), 1), ((), 3)],
)
def test_from_a_checkpoint_within_the_epoch(more: tuple[str, ...], steps: int, tmp_path: Path) -> None:
    """With drop path; with an average of the weights while gradients are added up; four batches an epoch.

    Means over the epoch that was interrupted, as in metrics.csv, are those of the batches since.
    """
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    size = ("network.channels=4", "network.layers=3", "training.drop_path=0.5")
    every = f"callbacks.checkpoint.every_n_train_steps={steps}"
    arguments = [*tiny()[-4:], f'genotype="{DARTS}"', *size, every, *more]
    succeeded(run("train", arguments, whole))
    options = ("_target_=tests.compose_tools.KillOnce", f"flag={tmp_path}/killed", "epoch=1", "batch=2")
    killed = run("train", arguments, broken, *(f"+callbacks.kill.{option}" for option in options))
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert checkpoint(broken)["global_step"] == (3 if more else 6), "taken within the second epoch"
    succeeded(script("train", f"ckpt_path={broken}", cwd=tmp_path))
    one, other = checkpoint(whole), checkpoint(broken)
    for key in ("epoch", "global_step", "state_dict", "optimizer_states", "lr_schedulers", "random"):
        assert_equal(one[key], other[key], key)
    first, second = (torch.load(place / "model.pt", weights_only=True) for place in (whole, broken))
    assert_equal(first, second, "model.pt")
