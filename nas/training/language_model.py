"""Lightning module that trains a language model from scratch."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, NamedTuple

from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torchmetrics import MeanMetric, SumMetric

from nas.nn.chunk import Chunk
from nas.nn.hidden_states import HiddenStates
from nas.objectives.language_modeling import LanguageModeling, Perplexity
from nas.spaces.base import Network
from nas.training.base import BaseTraining
from nas.training.weight_averaging import NonMonotonicTrigger, averaged_sgd, averaged_weights
from nas.utils.distributed import gather_objects
from nas.utils.errors import NasError
from nas.utils.ranges import COUNT, NOT_NEGATIVE, POSITIVE, SEED, check_ranges
from nas.utils.scaled_lr import scaled_lr

log = logging.getLogger(__name__)

TextBatch = tuple[Chunk, Tensor]


class BestModel(NamedTuple):
    """Best validation: its perplexity, the number of epochs until then, its tokens, and the evaluated weights."""

    perplexity: float
    epochs: int
    tokens: int
    weights: dict[str, Tensor]


@check_ranges(activation_penalty=NOT_NEGATIVE, temporal_penalty=NOT_NEGATIVE, clip_norm=POSITIVE, seed=SEED)
@check_ranges(patience=COUNT)
class LanguageModelTraining(BaseTraining):
    """Train a language model on chunks of text, validate it after each epoch, and test it.

    The learning rate of a step is proportional to the length of its chunk. With ``averaging``, SGD is replaced by
    averaged SGD once the validation loss stops improving (``NonMonotonicTrigger``). From then on, validations use the
    averaged weights. ``best`` has the weights with the lowest validation perplexity; ``use_best`` loads them.

    Args:
        network: network of the genotype.
        optimizer: factory of SGD, called with parameters or parameter groups.
        scheduler: factory of the learning-rate scheduler; None: constant learning rate.
        activation_penalty, temporal_penalty: see ``LanguageModeling``.
        clip_norm: maximum norm of the gradient over all parameters; None: no clipping.
        averaging: switch to averaged SGD (NT-ASGD). False: SGD in all epochs.
        patience, skip_recent: see ``NonMonotonicTrigger``.
        decay_norm_and_bias: apply weight decay to biases.
        seed: seed of dropout in distributed training, together with epoch, batch and rank.

    Raises:
        NasError: if there is a scheduler with ``averaging``, or a condition of the switch without it.
    """

    def __init__(
        self,
        network: Network,
        optimizer: Callable[[Any], Optimizer],
        scheduler: Callable[[Optimizer], LRScheduler] | None = None,
        activation_penalty: float = 0.0,
        temporal_penalty: float = 1e-3,
        clip_norm: float | None = 0.25,
        averaging: bool = True,
        patience: int = 5,
        skip_recent: bool = True,
        decay_norm_and_bias: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__(network, optimizer, scheduler, clip_norm, decay_norm_and_bias, seed)
        if averaging and scheduler is not None:
            raise NasError(
                "text_training.scheduler: averaged SGD has a constant learning rate. Set "
                "text_training.averaging=false, or text_training.scheduler=null."
            )
        for option, value, default in (("patience", patience, 5), ("skip_recent", skip_recent, True)):
            if not averaging and value != default:
                given, usual = str(value).lower(), str(default).lower()
                raise NasError(
                    f"text_training.{option}={given}: a condition of averaged SGD, which text_training.averaging=false "
                    f"disables. Use text_training.averaging=true, or text_training.{option}={usual}."
                )
        self.task = LanguageModeling(activation_penalty, temporal_penalty)
        self.averaging = averaging
        self.trigger = NonMonotonicTrigger(patience, skip_recent)
        self.switched = False
        """True after the switch to averaged SGD."""
        self.best: BestModel | None = None
        self.train_perplexity, self.perplexity = Perplexity(), Perplexity()
        self.evaluated_loss, self.evaluated_tokens = MeanMetric(), SumMetric()
        self._lr_scale = 1.0
        self._averages = ExitStack()
        self._hidden: list[Any] | None = None

    @property
    def states(self) -> HiddenStates:
        """Hidden states that the network carries between chunks."""
        states = self.network.states
        assert isinstance(states, HiddenStates)
        return states

    def configure_optimizers(self) -> Any:
        optimizers, schedulers = super().configure_optimizers()
        return ([averaged_sgd(optimizers[0])], schedulers) if self.switched else (optimizers, schedulers)

    def on_fit_start(self) -> None:
        if self.trainer.accumulate_grad_batches > 1:
            raise NasError(
                f"trainer.accumulate_grad_batches={self.trainer.accumulate_grad_batches}: the learning rate of a step "
                "follows the length of its chunk. Use 1 for text."
            )

    def on_train_start(self) -> None:
        super().on_train_start()
        if self._hidden is not None and len(self._hidden) == self.trainer.world_size:
            self.states.load_state(self._hidden[self.trainer.global_rank])
        self._hidden = None

    def on_train_batch_start(self, batch: TextBatch, batch_idx: int) -> None:
        super().on_train_batch_start(batch, batch_idx)
        self._lr_scale = self.task.lr_scale(batch[0])

    def training_step(self, batch: TextBatch, batch_idx: int) -> Tensor:
        x, target = batch
        outputs = self.network.outputs(x)
        loss = self.task.loss(outputs.logits, target)
        penalty = self.task.penalty(outputs)
        nll = loss.detach()
        self.step_values.update({"train/loss": nll, "train/perplexity": self.task.value(-nll)})
        self.train_perplexity.update(-nll, len(target))
        options: dict[str, Any] = {"on_step": False, "on_epoch": True, "batch_size": len(target)}
        self.log("train/loss", nll, sync_dist=True, **options)
        self.log("train/perplexity", self.train_perplexity, **options)
        return loss if penalty is None else loss + penalty

    def optimizer_step(self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Any = None) -> None:
        with scaled_lr(optimizer, self._lr_scale):
            super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)

    def on_validation_epoch_start(self) -> None:
        self._averages.enter_context(averaged_weights(self.trainer.optimizers if self.switched else ()))

    def validation_step(self, batch: TextBatch, batch_idx: int) -> None:
        self.test_step(batch, batch_idx)

    def test_step(self, batch: TextBatch, batch_idx: int) -> None:
        x, target = batch
        loss = self.task.loss(self.network(x), target, training=False)
        self.perplexity.update(-loss, len(target))
        self.evaluated_loss.update(loss, weight=len(target))
        self.evaluated_tokens.update(len(target))

    def on_validation_epoch_end(self) -> None:
        replicas = getattr(self.trainer.val_dataloaders, "replicas", 1)
        loss, perplexity, self.validated_images = self._log_evaluation("val", replicas)
        if self.trainer.state.fn == TrainerFn.FITTING and not self.trainer.sanity_checking:
            self._keep_best(perplexity)
            self._averages.close()
            self._switch(loss)
        self._averages.close()

    def on_test_epoch_end(self) -> None:
        self.tested_images = self._log_evaluation("test", getattr(self.trainer.test_dataloaders, "replicas", 1))[2]

    def _log_evaluation(self, stage: str, replicas: int) -> tuple[float, float, int]:
        """Log and reset the metrics of an evaluation, and return loss, perplexity and number of tokens."""
        loss, perplexity = self.evaluated_loss.compute(), self.perplexity.compute()
        tokens = int(self.evaluated_tokens.compute()) // replicas
        for metric in (self.evaluated_loss, self.perplexity, self.evaluated_tokens):
            metric.reset()
        self.log_dict({f"{stage}/loss": loss, f"{stage}/perplexity": perplexity}, prog_bar=stage == "val")
        return float(loss), float(perplexity), tokens

    def _keep_best(self, perplexity: float) -> None:
        """Copy the evaluated weights if their perplexity is the lowest of all validations on as many tokens."""
        if self.best is None or self.best.tokens != self.validated_images or perplexity < self.best.perplexity:
            weights = {name: value.detach().to("cpu", copy=True) for name, value in self.network.state_dict().items()}
            self.best = BestModel(perplexity, self.current_epoch + 1, self.validated_images, weights)

    def _switch(self, loss: float) -> None:
        """Replace SGD by averaged SGD if the validation loss fulfills the condition of the trigger."""
        if not self.averaging or self.switched or not self.trigger.update(loss):
            return
        self.switched = True
        self.trainer.optimizers = [averaged_sgd(self.trainer.optimizers[0])]
        if self.trainer.is_global_zero:
            log.info(
                "averaging      averaged SGD from epoch %d on (validation loss %.4f)", self.current_epoch + 2, loss
            )

    def use_best(self) -> None:
        """Load the weights of the best validation into the network, if there was one."""
        if self.best is not None:
            self.network.load_state_dict(self.best.weights)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint["language_model"] = {
            "switched": self.switched,
            "losses": list(self.trigger.losses),
            "best": None if self.best is None else self.best._asdict(),
            "hidden": gather_objects(self.states.state()),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        saved = checkpoint.get("language_model")
        if saved is None and "search" not in checkpoint:
            raise NasError("ckpt_path: not a checkpoint of a language model. Set the last.ckpt of its training.")
        super().on_load_checkpoint(checkpoint)
        assert saved is not None
        self.switched, self.trigger.losses = saved["switched"], list(saved["losses"])
        self.best = None if saved["best"] is None else BestModel(**saved["best"])
        self._hidden = saved["hidden"]
