"""Evaluation by a zero-cost proxy."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import torch

from nas.blackbox.evaluator import Evaluator, QueryResult
from nas.data.base import ImageData
from nas.data.proxy_batches import LazyProxyBatches, ProxyBatches
from nas.proxies.evaluate import ProxyEvaluator
from nas.proxies.proxy import Proxy
from nas.spaces.base import Space
from nas.spaces.resolve_genotype import GivenGenotype
from nas.utils.errors import NasError
from nas.utils.ranges import SEED, check_ranges


@check_ranges(seed=SEED)
class ZeroCost(Evaluator):
    """Value of a zero-cost proxy, negated if lower is better; measured seconds.

    Args:
        space: search space.
        data: images.
        device: device of the networks.
        proxy: proxy to evaluate.
        network: options of ``space.network``; None selects the size of ``ProxyEvaluator``.
        seed: seed of the weights and the images, so that a genotype always gets the same value.
    """

    def __init__(
        self,
        space: Space,
        data: ImageData,
        device: torch.device | None = None,
        proxy: Proxy | None = None,
        network: Mapping[str, Any] | None = None,
        seed: int = 0,
    ) -> None:
        if space.inputs != "images":
            raise NasError(
                f"evaluator=zero_cost: zero-cost proxies are defined on images, and space={space.name} takes "
                f"{space.inputs}. Set evaluator=training."
            )
        if proxy is None:
            raise NasError("evaluator.proxy=null: evaluator=zero_cost needs a proxy. Set proxy=naswot or another one.")
        self.label = proxy.name if proxy.higher_is_better else f"-{proxy.name}"
        thin = network is None and proxy.probe is not None
        size = space.describe_size(**(space.supernet_size() if network is None else network))
        self.network_size = f"the thin size for {proxy.name}" if thin else size
        batches = ProxyBatches(data, seed)
        self._evaluate = ProxyEvaluator(space, proxy, LazyProxyBatches(lambda: batches, device), network, seed)

    def __call__(self, genotype: GivenGenotype, fidelity: int | None = None) -> QueryResult:
        began = time.perf_counter()
        value = self._evaluate(genotype)
        return QueryResult(value if self._evaluate.higher_is_better else -value, time.perf_counter() - began)
