"""Scores of genotypes: a fresh network for each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from nas.architecture.cell import NONE, CellGenotype, Genotype
from nas.proxies.linear_regions import crops
from nas.proxies.precision import in_float32
from nas.proxies.proxy import Batch, Score, check_images
from nas.spaces.base import Space


class Batches(Protocol):
    """Gives the fixed mini-batch: called with a number of images, the same ones each time."""

    def __call__(self, count: int) -> Batch: ...


@runtime_checkable
class PlainBatches(Protocol):
    """Can also give any number of images without augmentation [count, C, H, W]; crops are made of these."""

    def plain(self, count: int, seed: int) -> Tensor: ...


class Scorer:
    """``scorer(genotype)``: the score of its network at PyTorch's default initialization; never NaN.

    It depends on the genotype, ``seed`` and the images alone. ``network`` are options for ``space.network``; None
    gives the size of the space's supernet, or the thin network that the score is published on (ntk, linear_regions).
    Scores that are not finite, and those of genotypes whose output does not depend on the input, get the worst value
    there is, -inf where ``higher_is_better``, else inf; the size of such a network is a number like any other. Raises
    NasError for a batch on which the score is not defined.
    """

    def __init__(
        self,
        space: Space,
        score: Score,
        batches: Batches,
        network: Mapping[str, Any] | None = None,
        seed: int = 0,
    ) -> None:
        check_images(score, score.batch_size)
        self.space = space
        self.score = score
        self.batches = batches
        self.network = network
        self.seed = seed
        self.higher_is_better = score.higher_is_better
        self._batch: Batch | None = None

    def __call__(self, genotype: Genotype) -> float:
        worst = -math.inf if self.higher_is_better else math.inf
        self.space.check(genotype)
        if self.score.of_signal and not all(connected(cell) for cell in genotype.cells.values()):
            return worst
        batch = self.batch()
        device = batch[0].device
        with in_float32(device), torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(self.seed)
            network = self._network(genotype).to(device)
            value = self.score(network, batch, torch.Generator().manual_seed(self.seed))
        return value if math.isfinite(value) else worst

    def batch(self) -> Batch:
        """The fixed mini-batch, drawn at the first call."""
        if self._batch is None:
            cut = self.score.probe == "regions" and self.network is None
            with in_float32(torch.device("cpu")):  # augmentations make new tensors, and cast nothing
                self._batch = self._crops() if cut else self.batches(self.score.batch_size)
        return self._batch

    def _crops(self) -> Batch:
        """As many crops as the score wants, of images that come again where there are fewer. Labels are all 0."""
        count = self.score.batch_size
        if isinstance(self.batches, PlainBatches):
            images = self.batches.plain(count, self.seed)
        else:
            images = self.batches(count)[0]
        x = crops(images[torch.arange(count) % len(images)], torch.Generator().manual_seed(self.seed))
        return x, torch.zeros(count, dtype=torch.int64, device=x.device)

    def _network(self, genotype: Genotype) -> torch.nn.Module:
        if self.network is not None:
            return self.space.network(genotype, **self.network)
        if self.score.probe is not None:
            return self.space.probe(self.score.probe, genotype)
        return self.space.network(genotype, **self.space.supernet_size())


def connected(cell: CellGenotype) -> bool:
    """Whether the output of a cell depends on any of its inputs: a chain of ops other than none leads there."""
    targets = {link.target for link in cell.links}
    links = [link for link in cell.links if link.op != NONE]
    reached = {link.source for link in cell.links} - targets
    for _ in cell.links:
        reached |= {link.target for link in links if link.source in reached}
    return bool(reached & set(cell.output))
