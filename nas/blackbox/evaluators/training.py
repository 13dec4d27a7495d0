"""Evaluation by short trainings from scratch."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from pytorch_lightning.utilities import CombinedLoader
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from nas.blackbox.evaluator import Evaluator, QueryResult, check_fidelities
from nas.data.base import ImageData
from nas.data.move_batch import move_batch
from nas.objectives.task_of import task_of
from nas.spaces.base import Network, Space
from nas.spaces.resolve_genotype import GivenGenotype, genotype_in
from nas.utils.errors import NasError
from nas.utils.ranges import COUNT, POSITIVE, SEED, check_ranges
from nas.utils.scaled_lr import scaled_lr


@check_ranges(epochs=COUNT, clip_norm=POSITIVE, seed=SEED, fidelities=COUNT)
class ShortTraining(Evaluator):
    """Validation accuracy (percent) after a short training from scratch on the training split; measured seconds.

    The value of a language model is the perplexity of the validation text, negated.
    The weights and the order of the images depend only on ``seed``, so a genotype always gets the same accuracy.
    With ``fidelities``, each query is a separate training from the first epoch, with a schedule of that length.

    Args:
        space: search space.
        data: images; they need a validation split.
        optimizer: builds the optimizer from the parameters.
        device: device of the training.
        scheduler: builds the learning-rate scheduler, which steps once per epoch.
        epochs: length of a training if there are no fidelities.
        clip_norm: bound of the gradient norm; None disables clipping.
        network: options of ``space.network``; None selects the published size.
        seed: seed of the weights.
        fidelities: increasing training lengths in epochs, among which each query selects.
        scheduler_epochs_arg: argument of the scheduler that is set to the length of a fidelity; None sets none.

    Raises:
        NasError: if a length is invalid, the scheduler does not take ``scheduler_epochs_arg``, or there are no
            validation images.
    """

    def __init__(
        self,
        space: Space,
        data: ImageData,
        optimizer: Callable[[Any], Optimizer],
        device: torch.device | None = None,
        scheduler: Callable[..., LRScheduler] | None = None,
        epochs: int = 1,
        clip_norm: float | None = 5.0,
        network: Mapping[str, Any] | None = None,
        seed: int = 0,
        fidelities: Sequence[int] | None = None,
        scheduler_epochs_arg: str | None = "T_max",
    ) -> None:
        self.fidelities = check_fidelities(fidelities)
        self._epochs_arg = None if scheduler is None else scheduler_epochs_arg
        accepted = () if scheduler is None else inspect.signature(scheduler).parameters
        if self.fidelities and self._epochs_arg is not None and scheduler_epochs_arg not in accepted:
            raise NasError(
                f"evaluator.scheduler_epochs_arg={scheduler_epochs_arg}: evaluator.scheduler takes no such argument. "
                "Set the name of its number of epochs, or null."
            )
        if not data.bilevel:
            raise NasError("evaluator=training: needs a validation part. Set dataset.bilevel=true.")
        train, valid = data.train_dataloader(), data.val_dataloader()
        self.space, self.device, self.epochs, self.clip_norm, self.seed = space, device, epochs, clip_norm, seed
        self.network = {} if network is None else dict(network)
        self.network_size = space.describe_size(**self.network)
        self.task = task_of(space)
        self.label = self.task.metric.describe("after a short training")
        # with images: the loader of the weights alone; a loader of text yields both batches
        self._train: Any = train.iterables["train"] if isinstance(train, CombinedLoader) else train
        self._valid: list[tuple[Any, Tensor]] = [move_batch(batch, device) for batch in valid]
        self._build_optimizer, self._build_scheduler = optimizer, scheduler

    def label_at(self, fidelity: int | None) -> str:
        rest = f"after a training of {fidelity} epochs"
        return self.label if fidelity is None else self.task.metric.describe(rest)

    def __call__(self, genotype: GivenGenotype, fidelity: int | None = None) -> QueryResult:
        genotype, began = genotype_in(self.space, genotype), time.perf_counter()
        cuda = [self.device] if self.device is not None and self.device.type == "cuda" else []
        with torch.random.fork_rng(cuda), torch.enable_grad():
            torch.manual_seed(self.seed)
            network = self.space.network(genotype, **self.network).to(self.device)
            self._fit(network, fidelity)
        return QueryResult(self._value(network), time.perf_counter() - began)

    def _fit(self, network: Network, fidelity: int | None) -> None:
        optimizer = self._build_optimizer(network.parameters())
        options = {} if fidelity is None or self._epochs_arg is None else {self._epochs_arg: fidelity}
        scheduler = None if self._build_scheduler is None else self._build_scheduler(optimizer, **options)
        network.train()
        for epoch in range(self.epochs if fidelity is None else fidelity):
            self._train.set_epoch(epoch)
            for batch in self._train:
                part = batch["train"] if isinstance(batch, Mapping) else batch
                self._step(network, optimizer, *move_batch(part, self.device))
            if scheduler is not None:
                scheduler.step()

    def _step(self, network: Network, optimizer: Optimizer, x: Any, target: Tensor) -> None:
        outputs = network.outputs(x)
        loss, penalty = self.task.loss(outputs.logits, target), self.task.penalty(outputs)
        optimizer.zero_grad()
        (loss if penalty is None else loss + penalty).backward()
        if self.clip_norm is not None:
            clip_grad_norm_(network.parameters(), self.clip_norm)
        with scaled_lr(optimizer, self.task.lr_scale(x)):
            optimizer.step()

    def _value(self, network: Network) -> float:
        network.eval()
        with torch.no_grad():
            scores = [self.task.score(network(x), target) * len(target) for x, target in self._valid]
        return self.task.ranked(torch.stack(scores).sum() / sum(len(target) for _, target in self._valid))
