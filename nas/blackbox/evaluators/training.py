"""Short trainings from scratch."""

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

from nas.architecture.cell import Genotype
from nas.blackbox.evaluator import Evaluation, Evaluator, growing
from nas.data.base import ImageData
from nas.data.pipeline.loader import TensorLoader
from nas.objectives.classification import Classification
from nas.spaces.base import Network, Space
from nas.utils.errors import NasError


class ShortTraining(Evaluator):
    """The validation accuracy (percent) of a genotype's network after ``epochs`` epochs on the weights' images.

    Weights and the order of the images follow from ``seed`` alone, so that a genotype has the same accuracy whenever
    it is asked for. ``network`` are options of ``space.network``; None leaves its published size. Measured seconds.

    With ``fidelities`` (epochs, growing) each query says for how long, and it is a training of its own from the first
    epoch on, with a schedule of that length: ``length`` names the scheduler's option that takes the number of epochs,
    None where it has none.

    Raises:
        NasError: for lengths that make no sense, a ``length`` that the scheduler does not know, or where there are no
            validation images.
    """

    unit = "validation accuracy after a short training (%)"

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
        length: str | None = "T_max",
    ) -> None:
        self.fidelities, self._length = growing(fidelities), None if scheduler is None else length
        known = () if scheduler is None else inspect.signature(scheduler).parameters
        if self.fidelities and self._length is not None and length not in known:
            raise NasError(
                f"evaluator.length={length}: evaluator.scheduler has no such option; name the one that takes the "
                "number of epochs, or null"
            )
        if epochs < 1:
            raise NasError(f"evaluator.epochs={epochs}: give a whole number of epochs, at least 1")
        loaders, valid = data.train_dataloader(), data.val_dataloader()
        if not isinstance(loaders, CombinedLoader) or isinstance(valid, list):
            raise NasError("evaluator=training needs validation images, and dataset.bilevel=false leaves none")
        self.space, self.device, self.epochs, self.clip_norm, self.seed = space, device, epochs, clip_norm, seed
        self.network = {} if network is None else dict(network)
        self.task = Classification()
        self._train: TensorLoader = loaders.iterables["train"]
        self._valid: list[tuple[Tensor, Tensor]] = [(x.to(device), y.to(device)) for x, y in valid]
        self._make_optimizer, self._make_scheduler = optimizer, scheduler

    def unit_at(self, fidelity: int | None) -> str:
        return self.unit if fidelity is None else f"validation accuracy after a training of {fidelity} epochs (%)"

    def __call__(self, genotype: Genotype, fidelity: int | None = None) -> Evaluation:
        began = time.perf_counter()
        cuda = [self.device] if self.device is not None and self.device.type == "cuda" else []
        with torch.random.fork_rng(cuda), torch.enable_grad():
            torch.manual_seed(self.seed)
            network = self.space.network(genotype, **self.network).to(self.device)
            self._fit(network, fidelity)
        return Evaluation(self._accuracy(network), time.perf_counter() - began)

    def _fit(self, network: Network, fidelity: int | None) -> None:
        optimizer = self._make_optimizer(network.parameters())
        options = {} if fidelity is None or self._length is None else {self._length: fidelity}
        scheduler = None if self._make_scheduler is None else self._make_scheduler(optimizer, **options)
        network.train()
        for epoch in range(self.epochs if fidelity is None else fidelity):
            self._train.set_epoch(epoch)
            for x, target in self._train:
                loss = self.task.loss(network(x.to(self.device)), target.to(self.device))
                optimizer.zero_grad()
                loss.backward()
                if self.clip_norm is not None:
                    clip_grad_norm_(network.parameters(), self.clip_norm)
                optimizer.step()
            if scheduler is not None:
                scheduler.step()

    def _accuracy(self, network: Network) -> float:
        network.eval()
        with torch.no_grad():
            right = [self.task.accuracy(network(x), target) * len(target) for x, target in self._valid]
        return float(torch.stack(right).sum()) / sum(len(target) for _, target in self._valid)
