"""Networks and pruning states of TE-NAS from the names and numbers of the authors' program."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from nas.deploy.published_weights import load_published_weights
from nas.proxies.proxy import Batch, Proxy
from nas.proxies.pruned import PrunedSupernet
from nas.searches.pruning.search import PruningSearch
from nas.spaces.base import Network, Probe, Space
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.space import NasBench201
from tests.support.golden_tools import Golden

DARTS_ORDER = ["none", "skip_connect", "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5"]
DARTS_ORDER += ["avg_pool_3x3", "max_pool_3x3"]


def tenas_space(stored: Golden) -> Space:
    """Return the space of a golden, with the ops in the authors' order."""
    shape = stored.arrays["x"].shape[-3:] if "x" in stored.arrays else (3, 32, 32)
    if stored.entry["case"]["space"] == "darts":
        return Darts(shape, 10, ops=DARTS_ORDER)
    return NasBench201(shape, 10)


def probe(stored: Golden, kind: Probe, prefix: str = "state/", dtype: torch.dtype = torch.float64) -> Network:
    """Return the thin supernet with the weights of the golden."""
    network = tenas_space(stored).probe(kind)
    state = stored.state(prefix)
    if kind == "regions":
        state = {key: value for key, value in state.items() if not key.startswith("stem.")}
    load_published_weights(network, state)
    return network.to(dtype)


def alive(space: Space, alphas: Tensor) -> dict[str, list[list[bool]]]:
    """Return the remaining ops of a state [cell types, edges, ops] of the authors' alphas: 0, where -1000 is pruned."""
    return {name: (alphas[i] > -1).tolist() for i, name in enumerate(space.cells)}


def pruned(
    stored: Golden, kind: Probe, alphas: Tensor, dtype: torch.dtype = torch.float64, fuse: bool = False
) -> PrunedSupernet:
    """Return the thin supernet of a golden in one of its pruning states."""
    return PrunedSupernet(probe(stored, kind, dtype=dtype), alive(tenas_space(stored), alphas), fuse)


class Endless(Proxy):
    """Proxy that is NaN for every network."""

    name = "endless"
    higher_is_better = False
    batch_size = 1

    def __call__(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> float:
        return float("inf")


class ImagesSeen(pl.Callback):
    """Write the number of images that a pruning search measures on to ``file``."""

    def __init__(self, file: str) -> None:
        self.file = Path(file)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, PruningSearch)
        pools = {tuple(m.batches._augmented.indices.tolist()) for m in pl_module._measurements}
        self.file.write_text(json.dumps([len(pool) for pool in pools]))


class StepsSeen(pl.Callback):
    """Append the number of steps of each epoch, and the total of its progress bar, to ``file``."""

    def __init__(self, file: str) -> None:
        self.file = Path(file)
        self.steps = 0

    def on_train_batch_end(self, *args: Any) -> None:
        self.steps += 1

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        with self.file.open("a") as file:
            file.write(json.dumps({"steps": self.steps, "bar": int(trainer.num_training_batches)}) + "\n")
        self.steps = 0
