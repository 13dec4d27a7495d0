"""Evaluation of zero-cost proxies on genotypes, with a new network for each genotype."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor

from nas.architecture.cell import Genotype
from nas.proxies.combined import Combined
from nas.proxies.linear_regions import sample_crops
from nas.proxies.precision import in_float32
from nas.proxies.proxy import Batch, Proxy, check_batch_size
from nas.spaces.base import Space
from nas.spaces.resolve_genotype import GivenGenotype, genotype_in

T = TypeVar("T")
MAX_SHARED_BYTES = 1 << 24
"""Largest mini-batch that is sent to other processes; their own data set would take more memory."""


class BatchSource(Protocol):
    """Source of the fixed mini-batch: returns the same images for the same number of images."""

    def __call__(self, count: int) -> Batch: ...


@runtime_checkable
class PlainImageSource(Protocol):
    """Source of images [count, C, H, W] without augmentation, from which crops are sampled."""

    def plain(self, count: int, seed: int) -> Tensor:
        """Return ``count`` images that ``seed`` selects."""


class FixedBatch:
    """Source of a given mini-batch, which can be sent to other processes.

    Args:
        batch: images and labels.
    """

    def __init__(self, batch: Batch) -> None:
        self.batch = batch

    def __call__(self, count: int) -> Batch:
        return self.batch

    def to(self, device: str) -> FixedBatch:
        """Return the source of the mini-batch on a device."""
        x, y = self.batch
        return FixedBatch((x.to(device), y.to(device)))


class ProxyEvaluator:
    """Evaluate a proxy on genotypes: ``evaluator(genotype)`` -> float, never NaN.

    A genotype may also be given as an architecture string or an index.

    The score depends only on the genotype, ``seed`` and the images. It is the worst possible score (-inf if
    ``higher_is_better``, else inf) if it is not finite, or if the network's output does not depend on its input. The
    latter does not apply to proxies of the network's size.

    Args:
        space: space of the genotypes.
        proxy: proxy to evaluate, on a new network at PyTorch's default initialization.
        batches: source of the fixed mini-batch.
        network: options for ``space.network``. None selects the thin network that the proxy is published on (ntk,
            linear_regions), for other proxies the size of the space's supernet.
        seed: seed of the weights and of the crops.

    Raises:
        NasError: if the proxy is not defined on so few images.
    """

    def __init__(
        self,
        space: Space,
        proxy: Proxy,
        batches: BatchSource,
        network: Mapping[str, Any] | None = None,
        seed: int = 0,
    ) -> None:
        check_batch_size(proxy, proxy.batch_size)
        self.space = space
        self.proxy = proxy
        self.batches = batches
        self.network = network
        self.seed = seed
        self.higher_is_better = proxy.higher_is_better
        self._batch: Batch | None = None

    def __call__(self, genotype: GivenGenotype) -> float:
        worst = -math.inf if self.higher_is_better else math.inf
        genotype = genotype_in(self.space, genotype)
        if self.proxy.needs_signal and not self.space.reads_input(genotype):
            return worst
        if isinstance(self.proxy, Combined) and not self.proxy.references:
            self.proxy.references = list(self._measure_references(self.proxy))
        score = self._measure(genotype, self.proxy)
        return score if math.isfinite(score) else worst

    def _measure(self, genotype: Genotype, function: Callable[[torch.nn.Module, Batch, torch.Generator], T]) -> T:
        """Apply a function to the network of a genotype, with weights and a generator of the evaluator's seed."""
        batch = self.batch()
        device = batch[0].device
        with in_float32(device), torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(self.seed)
            network = self._build_network(genotype).to(device)
            return function(network, batch, torch.Generator().manual_seed(self.seed))

    def _measure_references(self, proxy: Combined) -> Iterator[Sequence[float]]:
        """Yield the scores of random architectures by all parts of a combined proxy."""
        rng = random.Random(self.seed)
        for _ in range(proxy.reference_count):
            yield self._measure(self.space.sample(rng), proxy.parts)

    def batch(self) -> Batch:
        """Return the fixed mini-batch, which is sampled at the first call."""
        if self._batch is None and isinstance(self.batches, FixedBatch):
            self._batch = self.batches.batch
        if self._batch is None:
            needs_crops = self.proxy.probe == "regions" and self.network is None
            with in_float32(torch.device("cpu")):  # augmentations create tensors and do not cast
                self._batch = self._sample_crops() if needs_crops else self.batches(self.proxy.batch_size)
        return self._batch

    def shared_batch(self) -> FixedBatch | None:
        """Return the mini-batch for evaluators in other processes, None if it is too large to be sent."""
        x, y = self.batch()
        if x.nbytes > MAX_SHARED_BYTES:
            return None
        return FixedBatch((x.cpu().clone(), y.cpu().clone()))  # a view would be sent with all images behind it

    def _sample_crops(self) -> Batch:
        """Return one crop per input of the proxy, from images that repeat if there are fewer. All labels are 0."""
        count = self.proxy.batch_size
        if isinstance(self.batches, PlainImageSource):
            images = self.batches.plain(count, self.seed)
        else:
            images = self.batches(count)[0]
        repeated = images[torch.arange(count) % len(images)]
        x = sample_crops(repeated, torch.Generator().manual_seed(self.seed))
        return x, torch.zeros(count, dtype=torch.int64, device=x.device)

    def _build_network(self, genotype: Genotype) -> torch.nn.Module:
        if self.network is not None:
            return self.space.network(genotype, **self.network)
        if self.proxy.probe is not None:
            return self.space.probe(self.proxy.probe, genotype)
        return self.space.network(genotype, **self.space.supernet_size())
