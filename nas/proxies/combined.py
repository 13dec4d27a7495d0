"""Combination of several proxies by their ranks among reference networks."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from nas.proxies.proxy import Batch, Proxy
from nas.utils.errors import NasError
from nas.utils.ranges import COUNT, check_ranges


@check_ranges(references=COUNT)
class Combined(Proxy):
    """Sum over proxies of log(rank / n), the combination of AZ-NAS (Lee and Ham, CVPR 2024).

    Rank 1 is the worst of n networks, equal scores share the mean of their ranks, and a score that is not finite is the
    worst. The authors rank all candidates of a search, so that a single network has no score. Here a network is ranked
    among itself and a fixed number of random architectures, which ``ProxyEvaluator`` measures once. The score then
    depends only on the network, the space and the seed.

    Args:
        proxies: the combined proxies, at least one; each uses the first of the common images.
        references: number of random architectures.

    Raises:
        NasError: if a proxy is defined on thin networks only, or there is none.
    """

    name = "combined"

    def __init__(self, proxies: Sequence[Proxy], references: int = 100) -> None:
        if not proxies or any(proxy.probe is not None or isinstance(proxy, Combined) for proxy in proxies):
            names = [proxy.name for proxy in proxies]
            raise NasError(
                f"proxy.proxies={names}: give proxies of whole networks, not ntk, linear_regions or combined."
            )
        self.proxies = list(proxies)
        self.reference_count = references
        self.references: list[Sequence[float]] = []
        """Scores of the reference networks by all proxies, larger is better."""
        self.batch_size = max(proxy.batch_size for proxy in proxies)
        self.min_images = max(proxy.min_images for proxy in proxies)
        self.needs_signal = any(proxy.needs_signal for proxy in proxies)

    def __call__(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> float:
        return combine_ranks([*self.references, self.parts(network, batch, generator)])[-1]

    def parts(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> list[float]:
        """Return the scores by all proxies, larger is better, -inf if not finite."""
        scores = []
        for proxy in self.proxies:
            images = batch[0][: proxy.batch_size], batch[1][: proxy.batch_size]
            score = proxy(network, images, generator)
            scores.append((score if proxy.higher_is_better else -score) if math.isfinite(score) else -math.inf)
        return scores


def combine_ranks(scores: Sequence[Sequence[float]]) -> list[float]:
    """Return the sum over columns of log(rank / n) for each row of scores [n, proxies]; NaN ranks as -inf."""
    columns = [[-math.inf if math.isnan(value) else value for value in column] for column in zip(*scores, strict=True)]
    return [sum(math.log((_rank(column, row)) / len(column)) for column in columns) for row in range(len(scores))]


def _rank(column: Sequence[float], row: int) -> float:
    """Return the rank of a value, 1 for the smallest; equal values share the mean of their ranks."""
    below = sum(value < column[row] for value in column)
    return below + (sum(value == column[row] for value in column) + 1) / 2
