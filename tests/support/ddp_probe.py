"""Callbacks that record the losses and samples of each rank."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from nas.searches.base import Observation, SupernetSearch
from nas.searches.gradient import GradientSearch
from nas.spaces.notation import native_string


def digest(tensors: Iterable[Tensor]) -> str:
    """Return a digest of the exact contents of tensors."""
    found = hashlib.blake2b(digest_size=8)
    for tensor in tensors:
        found.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


class Probe(pl.Callback):
    """Append a line per loss and per epoch to ``directory``/rank<N>.jsonl."""

    def __init__(self, directory: str) -> None:
        self.directory = Path(directory)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, SupernetSearch)
        pl_module.observers.append(lambda seen: self._write(trainer, **self._step(seen)))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, GradientSearch)
        alphas = {name: alpha.tolist() for name, alpha in pl_module.relaxation.alpha.items()}
        masks = {name: pl_module.masks.lists(name) for name in pl_module.masks.cell_names}
        weights = digest(pl_module.supernet.parameters())
        found = native_string(pl_module.genotype())
        self._write(trainer, what="epoch", alphas=alphas, masks=masks, weights=weights, genotype=found)

    @staticmethod
    def _step(seen: Observation) -> dict[str, Any]:
        assert seen.batch is not None
        return {
            "what": seen.phase,
            "active": {name: edge.active for name, edge in seen.arch.items()},
            "sampled": digest(edge.op for edge in seen.arch.values()),
            "batch": digest(leaf for leaf in tree_leaves(seen.batch) if isinstance(leaf, Tensor)),
            "loss": float(seen.loss),
        }

    def _write(self, trainer: pl.Trainer, **line: Any) -> None:
        line |= {"epoch": trainer.current_epoch, "world": torch.distributed.get_world_size()}
        with (self.directory / f"rank{trainer.global_rank}.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")


class Draws(pl.Callback):
    """Writes to ``directory``/draws<N>.json a number that each rank would draw after each epoch's first step.

    Without drawing it.
    """

    def __init__(self, directory: str) -> None:
        self.directory = Path(directory)
        self.seen: list[float] = []

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == 0:
            with torch.random.fork_rng([]):
                self.seen.append(float(torch.rand(())))
            (self.directory / f"draws{trainer.global_rank}.json").write_text(json.dumps(self.seen))
