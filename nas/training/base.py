"""Base class of Lightning modules that train a single network from scratch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from nas.nn.param_groups import parameter_groups
from nas.spaces.base import Network
from nas.training.lr_schedule import LRDecay
from nas.utils.errors import NasError
from nas.utils.foreach_sgd import use_foreach
from nas.utils.random_state import check_state_dict, random_state, restore_random_state
from nas.utils.seeds import derive_seed


class BaseTraining(pl.LightningModule):
    """Optimizer, gradient clipping and resumable random numbers of a training.

    Args:
        network: the trained network.
        optimizer: factory of the optimizer, called with parameters or parameter groups.
        scheduler: factory of the learning-rate scheduler; None: constant learning rate.
        clip_norm: maximum norm of the gradient over all parameters; None: no clipping.
        decay_norm_and_bias: apply weight decay to biases and to the parameters of norms.
        seed: seed of dropout in distributed training, together with epoch, batch and rank. Ranks differ, and a resumed
            run samples the same numbers, also within an epoch.
    """

    def __init__(
        self,
        network: Network,
        optimizer: Callable[[Any], Optimizer],
        scheduler: Callable[[Optimizer], LRScheduler] | None,
        clip_norm: float | None,
        decay_norm_and_bias: bool,
        seed: int,
    ) -> None:
        super().__init__()
        self.network = network
        self.clip_norm = clip_norm
        self.decay_norm_and_bias = decay_norm_and_bias
        self.seed = seed
        self.step_values: dict[str, Tensor] = {}
        """Scalars of the current step on the device, by metric name, for the curves of the run."""
        self.tested_images = self.validated_images = 0
        """Examples (images or tokens) of the last test and the last validation, summed over ranks."""
        self._make_optimizer = optimizer
        self._make_scheduler = scheduler
        self._random_state: dict[str, Any] | None = None

    def forward(self, x: Any) -> Tensor:
        """Return the logits of the network."""
        logits: Tensor = self.network(x)
        return logits

    def configure_optimizers(self) -> Any:
        optimizer = use_foreach(self._make_optimizer(parameter_groups(self.network, self.decay_norm_and_bias)))
        if self._make_scheduler is None:
            return [optimizer], []
        scheduler = self._make_scheduler(optimizer)
        if not isinstance(scheduler, LRDecay) or scheduler.interval == "epoch":
            return [optimizer], [scheduler]
        scheduler.set_steps_per_epoch(self._steps_per_epoch())
        return [optimizer], [{"scheduler": scheduler, "interval": "step"}]

    def _steps_per_epoch(self) -> int:
        trainer = self.trainer
        _ = trainer.estimated_stepping_batches  # builds the loader, so that num_training_batches is set
        return math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches)

    def configure_gradient_clipping(
        self, optimizer: Optimizer, gradient_clip_val: Any = None, gradient_clip_algorithm: Any = None
    ) -> None:
        if self.clip_norm is not None:
            clip_grad_norm_(self.network.parameters(), self.clip_norm)

    def on_train_epoch_start(self) -> None:
        self.log("train/learning_rate", float(self.trainer.optimizers[0].param_groups[0]["lr"]))

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        if self.trainer.world_size > 1:
            # All ranks start with the same seed, and would drop the same paths. A checkpoint stores the generator of a
            # single rank, so the random numbers of other ranks must not depend on their earlier steps.
            torch.manual_seed(
                derive_seed("training", self.seed, self.current_epoch, batch_idx, self.trainer.global_rank)
            )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["random"] = random_state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if "search" in checkpoint:
            raise NasError("ckpt_path: a checkpoint of a search. Set the last.ckpt of a training.")
        check_state_dict(self, checkpoint["state_dict"], "training")
        self._random_state = checkpoint.get("random")

    def on_train_start(self) -> None:
        if self._random_state is not None:
            restore_random_state(self._random_state)
            self._random_state = None
