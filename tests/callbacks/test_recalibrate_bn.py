"""Recalibrated batch norm statistics against means over batches in float64."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.layer_sync import TorchSyncBatchNorm
from torch import Tensor, nn

from nas.callbacks.recalibrate_bn import RecalibrateBatchNorm
from nas.spaces.base import Network, Output
from nas.training.network_training import Training
from nas.utils.errors import NasError
from tests.support.error_tools import NB201, TRAIN, run
from tests.training.test_network_training import SGD, data


class Normed(Network):
    """Network that applies batch norm to the images, so its statistics are those of the data."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm, self.head = norm, nn.Linear(12, 5)

    def outputs(self, x: Tensor, arch: Any = None) -> Output:
        features = self.norm(x).flatten(1)
        return Output(self.head(features), features)


def reverted() -> nn.Module:
    """Return the module that replaces a batch norm after a training with trainer.sync_batchnorm=true."""
    found: nn.Module = TorchSyncBatchNorm().revert(nn.SyncBatchNorm(3))
    return found


@pytest.mark.parametrize("batches", [3, 6])  # there are four in a pass
@pytest.mark.parametrize("norm", [partial(nn.BatchNorm2d, 3), reverted])
def test_recalibrated_statistics_are_means_over_batches(norm: Callable[[], nn.Module], batches: int) -> None:
    torch.manual_seed(0)
    training, images = Training(Normed(norm()), SGD, classes=5), data()
    trainer = pl.Trainer(
        max_epochs=2, accelerator="cpu", devices=1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
        callbacks=[RecalibrateBatchNorm(batches)],
    )  # fmt: skip
    trainer.fit(training, datamodule=images)
    weights = {name: value.clone() for name, value in training.named_parameters()}
    generator = torch.get_rng_state()
    trainer.test(training, datamodule=images, verbose=False)
    assert torch.equal(torch.get_rng_state(), generator)
    loader = images.train_dataloader()
    loader.set_epoch(2)
    seen = [x.double() for _ in range(2) for x, _ in loader][:batches]
    mean = torch.stack([x.mean((0, 2, 3)) for x in seen]).mean(0)
    var = torch.stack([x.var((0, 2, 3), unbiased=True) for x in seen]).mean(0)
    found = training.network.norm
    torch.testing.assert_close(found.running_mean.double(), mean, rtol=0, atol=1e-6)
    torch.testing.assert_close(found.running_var.double(), var, rtol=0, atol=1e-6)
    assert found.momentum == 0.1
    for name, value in training.named_parameters():
        assert torch.equal(value, weights[name]), "nothing is trained by it"


def test_train_with_recalibration(tmp_path: Path) -> None:
    target = "+callbacks.calibration={_target_: nas.callbacks.recalibrate_bn.RecalibrateBatchNorm, batches: 3}"
    for name, more in (("plain", []), ("calibrated", [target])):
        run("train", *TRAIN, f"genotype={NB201}", f"hydra.run.dir={tmp_path}/{name}", *more).succeeded()
    states = {
        name: torch.load(tmp_path / name / "model.pt", weights_only=True)["state_dict"]
        for name in ("plain", "calibrated")
    }
    differing = {k for k, v in states["plain"].items() if not torch.equal(v, states["calibrated"][k])}
    assert differing and all(k.rpartition(".")[2].startswith(("running_", "num_batches")) for k in differing)
    summary = json.loads((tmp_path / "calibrated" / "summary.json").read_text())
    evaluated = run("train", "mode=eval", f"weights={tmp_path}/calibrated", f"hydra.run.dir={tmp_path}/eval")
    evaluated.succeeded()
    again = json.loads((tmp_path / "eval" / "summary.json").read_text())
    assert again["test_accuracy"] == pytest.approx(summary["test_accuracy"])
    assert again["test_loss"] == pytest.approx(summary["test_loss"], rel=1e-5)


def test_recalibrate_batch_norm_refuses_zero_batches() -> None:
    with pytest.raises(NasError, match="batches=0: use a whole number from 1"):
        RecalibrateBatchNorm(0)
