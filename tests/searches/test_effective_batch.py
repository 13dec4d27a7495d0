"""Steps on one device, in passes and on two devices are equal for the same effective batch, in float64."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import DDPStrategy
from torch import Tensor

from nas.data.synthetic import Synthetic
from nas.relaxations.dirichlet import Dirichlet
from nas.searches.arch_step import ArchStep
from nas.searches.gradient import GradientSearch
from nas.searches.weight_step import WeightStep
from nas.training.network_training import Training
from tests.searches.test_passes import ADAM, SGD, SPACE, without_norm
from tests.support.rank_tools import spawned_ranks
from tests.training.test_network_training import Small

pytestmark = pytest.mark.slow

BATCH = 8  # images per step on all devices
State = dict[str, Tensor]


def fit(module: pl.LightningModule, data: Synthetic, devices: int, **options: Any) -> State:
    """Train for two epochs of two steps, and return the parameters."""
    ddp = DDPStrategy(process_group_backend="gloo", find_unused_parameters=True)
    trainer = pl.Trainer(
        max_epochs=2, accelerator="cpu", devices=devices, strategy="auto" if devices == 1 else ddp,
        precision="64-true", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, limit_val_batches=0, use_distributed_sampler=False,
        **options,
    )  # fmt: skip
    trainer.fit(module, datamodule=data)
    return {name: value.detach().clone() for name, value in module.named_parameters()}


def train(devices: int, passes: int = 1) -> State:
    torch.manual_seed(0)
    data = Synthetic(
        shape=(3, 2, 2), classes=5, size=2 * BATCH, test_size=4, batch_size=BATCH // devices // passes, bilevel=False
    )
    network = Small()
    network.auxiliary_head.requires_grad_(False)
    return fit(Training(network, SGD, classes=5, clip_norm=0.5), data, devices, accumulate_grad_batches=passes)


def search(devices: int, passes: int = 1) -> State:
    torch.manual_seed(0)
    data = Synthetic(shape=(3, 8, 8), classes=5, size=4 * BATCH, test_size=4, batch_size=BATCH // devices)
    module = without_norm(GradientSearch(SPACE, Dirichlet, WeightStep(SGD, clip_norm=0.5), ArchStep(ADAM)))
    if passes > 1:
        module.accumulate(BATCH // devices // passes)
    return fit(module, data, devices)


def on_rank(rank: int, port: int, directory: str) -> None:
    """Train and search on one of two ranks, and save the parameters."""
    os.environ |= {"LOCAL_RANK": str(rank), "NODE_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    states = {"train": train(2), "train in passes": train(2, 2), "search": search(2), "search in passes": search(2, 2)}
    torch.save(states, Path(directory) / f"{rank}.pt")


def test_steps_depend_on_the_effective_batch_alone(tmp_path: Path) -> None:
    ranks = spawned_ranks(on_rank, tmp_path)
    truth = {"train": train(1), "search": search(1)}
    found = {"train": [train(1, 4)], "search": [search(1, 4)]}
    for name, states in found.items():
        states += [rank[key] for rank in ranks for key in (name, f"{name} in passes")]
        assert all(value.dtype == torch.float64 for value in truth[name].values())
        for state in states:
            for key, value in truth[name].items():
                torch.testing.assert_close(state[key], value, rtol=1e-9, atol=1e-12, msg=lambda m, k=key: f"{k}: {m}")
