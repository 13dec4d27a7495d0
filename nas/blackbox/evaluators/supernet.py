"""Evaluation with the weights of a trained supernet."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from nas.architecture.cell import Architecture
from nas.blackbox.evaluator import Evaluator, QueryResult, TiedResult
from nas.data.base import ImageData
from nas.data.kinds import DataSet
from nas.data.move_batch import move_batch
from nas.data.pipeline.loader import Loader
from nas.searches.base import SupernetSearch
from nas.spaces.base import Network
from nas.spaces.resolve_genotype import GivenGenotype, genotype_in
from nas.utils.errors import NasError
from nas.utils.ranges import COUNT, check_ranges

MANY_CLASSES = 100
"""Number of classes from which the top-5 accuracy orders genotypes of equal accuracy."""


@check_ranges(batches=COUNT, recalibration=COUNT)
class SupernetAccuracy(Evaluator):
    """Validation accuracy (percent) of a genotype with the supernet's weights; measured seconds.

    Batch norm uses the statistics of the batch or, with ``recalibration``, statistics of the genotype. The latter start
    from mean 0 and variance 1. They are averaged over augmented training images with the usual momentum (Single Path
    One-Shot, Guo et al., ECCV 2020). Each query uses the same images. With many classes, genotypes of equal accuracy
    are ordered by the top-5 accuracy.

    The value of a language model is the perplexity of the validation text, negated.

    Args:
        search: search with the trained supernet.
        data: images; they need a validation split.
        device: device of the supernet.
        batches: number of validation batches, of images in a fixed random order; None uses all.
        recalibration: number of training batches for the statistics of batch norm; None: statistics of the batch.

    Raises:
        NasError: if an option is below 1, there are no validation images, or batch norm tracks no statistics.
    """

    def __init__(
        self,
        search: SupernetSearch,
        data: DataSet,
        device: torch.device | None = None,
        batches: int | None = None,
        recalibration: int | None = None,
    ) -> None:
        self.search = search.to(device)
        metric = search.task.metric
        self.label = metric.describe("with the supernet's weights")
        self.network_size = search.space.describe_size(**search.space.supernet_size())
        self._like = torch.zeros((), device=device)
        valid = data.val_dataloader()
        if isinstance(valid, list):
            raise NasError("evaluator=supernet: needs validation images. Set dataset.bilevel=true.")
        if not isinstance(data, ImageData) and data.eval_batch_size < 2:
            raise NasError("dataset.eval_batch_size=1: batch norm of a supernet needs 2 columns. Set at least 2.")
        if batches is not None and isinstance(data, ImageData):
            valid = _sample_batches(data, batches)
        self._batches = [move_batch(batch, device) for batch in islice(valid, batches)]
        self._data, self.recalibration = data, recalibration
        self._norms = [m for m in search.supernet.modules() if isinstance(m, _BatchNorm)]
        tracked = bool(self._norms) and all(norm.track_running_stats for norm in self._norms)
        if recalibration is not None and not tracked:
            raise NasError(
                f"evaluator.recalibration={recalibration}: batch norm of this supernet tracks no statistics. Set "
                "evaluator.recalibration=null."
            )
        if batches is not None:
            self.label = f"{self.label} on {sum(len(y) for _, y in self._batches)} {metric.examples}"

    def __call__(self, genotype: GivenGenotype, fidelity: int | None = None) -> QueryResult:
        genotype, began = genotype_in(self.search.space, genotype), time.perf_counter()
        arch = self.search.space.encode(genotype, like=self._like)
        if self.recalibration is not None:
            value, tie = self._recalibrated(arch)
            return TiedResult.of(value, time.perf_counter() - began, tie)
        examples = sum(len(y) for _, y in self._batches)
        scores = [self.search.evaluate(batch, arch)[1] * len(batch[1]) for batch in self._batches]
        value = self.search.task.ranked(torch.stack(scores).sum() / examples)
        return QueryResult(value, time.perf_counter() - began)

    def _recalibrated(self, arch: Architecture) -> tuple[float, float]:
        """Return top-1 and top-5 accuracy in percent; the latter is 0 with few classes."""
        supernet = self.search.supernet
        buffers = {name: buffer.clone() for name, buffer in supernet.named_buffers()}
        training = supernet.training
        try:
            with torch.no_grad():
                images = islice(self._training_images(), self.recalibration)
                recalibrate(supernet, self._norms, images, arch)
                ranks = torch.cat([_ranks(supernet(x, arch), y) for x, y in self._batches])
        finally:
            supernet.train(training)
            for name, buffer in supernet.named_buffers():
                buffer.copy_(buffers[name])
        many = self.search.space.classes >= MANY_CLASSES
        top5 = float(100 * (ranks < 5).double().mean()) if many else 0.0
        return float(100 * (ranks < 1).double().mean()), top5

    def _training_images(self) -> Iterator[Tensor]:
        """Yield augmented training images without end, the same ones for each query."""
        data = self._data
        assert isinstance(data, ImageData), "text has no batch norm"
        loader = data.build_loader(
            indices=data.part_indices()["train"], augment=True, shuffle=True, batch_size=data.batch_size
        )
        while True:
            for x, _ in loader:
                yield x.to(self._like.device)


def recalibrate(network: Network, norms: Sequence[_BatchNorm], images: Iterable[Tensor], arch: Architecture) -> None:
    """Replace the running statistics of batch norm by averages over ``images``, and set evaluation mode.

    The averages have the momentum of the norms and begin with mean 0 and variance 1. Dropout draws random numbers of
    its own, so that the global generators do not change.

    Args:
        network: supernet.
        norms: its batch norms.
        images: batches of training images [B, C, H, W].
        arch: architecture to execute.
    """
    for norm in norms:
        norm.reset_running_stats()
    network.train()
    like = next(network.parameters())
    with torch.random.fork_rng([like.device] if like.is_cuda else []):
        torch.manual_seed(0)
        for x in images:
            network(x, arch)
    network.eval()


def _sample_batches(data: ImageData, count: int) -> Loader:
    """Return ``count`` batches of a random sample of the validation images that is always the same.

    The images of a folder are in the order of their classes, so that the first ones would belong to few classes.
    """
    indices = data.part_indices()["val"]
    order = torch.randperm(len(indices), generator=torch.Generator().manual_seed(0))
    chosen = indices[order[: count * data.eval_batch_size].sort().values]
    return data.build_loader(indices=chosen, shuffle=False, batch_size=data.eval_batch_size)


def _ranks(logits: Tensor, target: Tensor) -> Tensor:
    """Return the number of classes with a larger logit than the target, [B]; all of them if a logit is NaN."""
    return (~(logits <= logits.gather(1, target[:, None]))).sum(dim=1)
