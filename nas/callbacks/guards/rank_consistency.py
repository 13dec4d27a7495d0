"""Check that all ranks of a distributed search have the same architecture parameters."""

from __future__ import annotations

import pytorch_lightning as pl
import torch
import torch.distributed as dist

from nas.searches.gradient import GradientSearch
from nas.utils.errors import NasError


class RankConsistency(pl.Callback):
    """Raise NasError at the end of an epoch, before the checkpoint is saved, if alphas differ between ranks."""

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.world_size == 1 or not isinstance(pl_module, GradientSearch):
            return
        alphas = torch.cat([alpha.detach().reshape(-1) for alpha in pl_module.relaxation.parameters()])
        first = alphas.clone()
        dist.broadcast(first, src=0)
        differs = (alphas != first).any().float()
        dist.all_reduce(differs)
        if float(differs) > 0:
            raise NasError(
                f"epoch {trainer.current_epoch}: alphas differ on {int(differs)} of {trainer.world_size} ranks"
            )
