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
from nas.proxies.proxy import Batch, Proxy, check_images
from nas.spaces.base import Space


class Batches(Protocol):
    """Gives the fixed mini-batch: called with a number of images, the same ones each time."""

    def __call__(self, count: int) -> Batch: ...


@runtime_checkable
class PlainBatches(Protocol):
    """Can also give any number of images without augmentation [count, C, H, W]; crops are made of these."""

    def plain(self, count: int, seed: int) -> Tensor: ...


class ProxyEvaluator:
    """Evaluate a proxy on genotypes: ``evaluator(genotype)`` -> float, never NaN.

    The value depends on the genotype, ``seed`` and the images alone. It is the worst possible value (-inf if
    ``higher_is_better``, else inf) if it is not finite, or if the network's output does not depend on its input. The
    latter does not apply to proxies of the network's size.

    Args:
        space: Space of the genotypes.
        proxy: Proxy to evaluate, on a new network at PyTorch's default initialization.
        batches: Source of the fixed mini-batch.
        network: Options for ``space.network``. None selects the thin network that the proxy is published on (ntk,
            linear_regions), for other proxies the size of the space's supernet.
        seed: Seed of the weights and of the crops.

    Raises:
        NasError: If the proxy is not defined on so few images.
    """

    def __init__(
        self,
        space: Space,
        proxy: Proxy,
        batches: Batches,
        network: Mapping[str, Any] | None = None,
        seed: int = 0,
    ) -> None:
        check_images(proxy, proxy.batch_size)
        self.space = space
        self.proxy = proxy
        self.batches = batches
        self.network = network
        self.seed = seed
        self.higher_is_better = proxy.higher_is_better
        self._batch: Batch | None = None

    def __call__(self, genotype: Genotype) -> float:
        worst = -math.inf if self.higher_is_better else math.inf
        self.space.check(genotype)
        if self.proxy.of_signal and not all(connected(cell) for cell in genotype.cells.values()):
            return worst
        batch = self.batch()
        device = batch[0].device
        with in_float32(device), torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(self.seed)
            network = self._network(genotype).to(device)
            value = self.proxy(network, batch, torch.Generator().manual_seed(self.seed))
        return value if math.isfinite(value) else worst

    def batch(self) -> Batch:
        """The fixed mini-batch, drawn at the first call."""
        if self._batch is None:
            cut = self.proxy.probe == "regions" and self.network is None
            with in_float32(torch.device("cpu")):  # augmentations make new tensors, and cast nothing
                self._batch = self._crops() if cut else self.batches(self.proxy.batch_size)
        return self._batch

    def _crops(self) -> Batch:
        """As many crops as the proxy wants, of images that come again where there are fewer. Labels are all 0."""
        count = self.proxy.batch_size
        if isinstance(self.batches, PlainBatches):
            images = self.batches.plain(count, self.seed)
        else:
            images = self.batches(count)[0]
        x = crops(images[torch.arange(count) % len(images)], torch.Generator().manual_seed(self.seed))
        return x, torch.zeros(count, dtype=torch.int64, device=x.device)

    def _network(self, genotype: Genotype) -> torch.nn.Module:
        if self.network is not None:
            return self.space.network(genotype, **self.network)
        if self.proxy.probe is not None:
            return self.space.probe(self.proxy.probe, genotype)
        return self.space.network(genotype, **self.space.supernet_size())


def connected(cell: CellGenotype) -> bool:
    """Whether the output of a cell depends on any of its inputs: a chain of ops other than none leads there."""
    targets = {link.target for link in cell.links}
    links = [link for link in cell.links if link.op != NONE]
    reached = {link.source for link in cell.links} - targets
    for _ in cell.links:
        reached |= {link.target for link in links if link.source in reached}
    return bool(reached & set(cell.output))
