"""Scores of networks that are not trained."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import torch

from nas.architecture.cell import Genotype
from nas.blackbox.evaluator import Evaluation, Evaluator
from nas.data.base import ImageData
from nas.data.proxy_batches import LazyProxyBatches, ProxyBatches
from nas.proxies.evaluate import ProxyEvaluator
from nas.proxies.proxy import Proxy
from nas.spaces.base import Space


class ZeroCost(Evaluator):
    """A zero-cost proxy of a genotype's network at its initialization, negated where lower is better; measured seconds.

    The same genotype has the same value in a run: network and images are drawn from ``seed``. ``network`` are options
    of ``space.network``; None is the size that ``ProxyEvaluator`` chooses.
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
        assert proxy is not None, "the configuration names one"
        self.unit = proxy.name if proxy.higher_is_better else f"-{proxy.name}"
        draws = ProxyBatches(data, seed)
        self._evaluate = ProxyEvaluator(space, proxy, LazyProxyBatches(lambda: draws, device), network, seed)

    def __call__(self, genotype: Genotype, fidelity: int | None = None) -> Evaluation:
        began = time.perf_counter()
        value = self._evaluate(genotype)
        return Evaluation(value if self._evaluate.higher_is_better else -value, time.perf_counter() - began)
