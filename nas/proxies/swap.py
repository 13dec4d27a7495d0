"""SWAP-Score (Peng et al., ICLR 2024): number of activation patterns of units over a batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from nas.nn.macs import count_parameters
from nas.nn.restored_state import temporary_hooks
from nas.proxies.linear_regions import count_distinct_rows
from nas.proxies.proxy import Batch, Proxy, stateless_forward
from nas.proxies.zen import gaussian_weights
from nas.utils.ranges import COUNT, FINITE, POSITIVE, check_ranges

MAX_TABLE_BITS = 20
"""Images up to which patterns are marked in a table, which has 2^images entries."""


@check_ranges(batch_size=COUNT, repeats=COUNT, mu=FINITE, sigma=POSITIVE)
class Swap(Proxy):
    """Number of distinct patterns of signs that units of feature maps have over the images, averaged over weights.

    The units are the outputs of all ReLUs on feature maps. The weights of convolutions and linear layers are standard
    normal. N images have at most 2^N patterns, so the score saturates with few images. With ``mu`` and ``sigma`` the
    score is multiplied by exp(-(P - mu)^2 / sigma), P being the thousands of parameters (regularized SWAP-Score).

    Args:
        batch_size: number of images.
        repeats: number of samples of the weights.
        mu: center of the size factor, in thousand parameters; None: no factor.
        sigma: width of the size factor; it is not squared, as in the authors' code.
    """

    name = "swap"
    min_images = 2

    def __init__(
        self, batch_size: int = 16, repeats: int = 32, mu: float | None = None, sigma: float | None = None
    ) -> None:
        self.batch_size = batch_size
        self.repeats = repeats
        self.mu = mu
        self.sigma = sigma

    def __call__(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> float:
        x = batch[0]
        if not x.is_cuda:  # faster for the convolutions and batch norms of a CPU
            x = x.contiguous(memory_format=torch.channels_last)
        counts = [count_patterns(network, x, gaussian_weights(network, generator)) for _ in range(self.repeats)]
        return sum(counts) / len(counts) * self.size_factor(network)

    def size_factor(self, network: nn.Module) -> float:
        """Return the factor of the number of parameters, 1 without ``mu`` and ``sigma``."""
        if self.mu is None or self.sigma is None:
            return 1.0
        return math.exp(-((count_parameters(network) / 1000 - self.mu) ** 2) / self.sigma)


def count_patterns(network: nn.Module, x: Tensor, state: Mapping[str, Tensor] | None = None) -> int:
    """Return the number of distinct patterns of the units behind ReLUs over the images; ``state`` replaces parameters.

    A pattern of at most ``MAX_TABLE_BITS`` images is a number below 2^images, and a table marks those that occur.
    """
    if len(x) > MAX_TABLE_BITS:
        return count_distinct_rows(unit_signs(network, x, state).T)
    powers = 2.0 ** torch.arange(len(x), dtype=torch.float32, device=x.device)
    occurs = torch.zeros(2 ** len(x), dtype=torch.bool, device=x.device)

    def mark(features: Tensor) -> None:
        signs = _flat_images(features).float().clone().gt_(0)  # a comparison in place stays in float and is faster
        occurs.index_fill_(0, (powers @ signs).long(), True)  # sums of distinct powers below 2^24 are exact in float32

    _visit_features(network, x, state, mark)
    return int(occurs.count_nonzero())


def unit_signs(network: nn.Module, x: Tensor, state: Mapping[str, Tensor] | None = None) -> Tensor:
    """Return whether each unit behind a ReLU or ReLU6 is positive, bool [images, units].

    Args:
        network: the network.
        x: images [B, C, H, W].
        state: parameters by name, in place of those of the network.

    Raises:
        ValueError: if no ReLU has feature maps as input.
    """
    signs: list[Tensor] = []
    _visit_features(network, x, state, lambda features: signs.append(_flat_images(features) > 0))
    return torch.cat(signs, dim=1)


def _visit_features(
    network: nn.Module, x: Tensor, state: Mapping[str, Tensor] | None, visit: Callable[[Tensor], None]
) -> None:
    """Call a function with the feature map behind each ReLU or ReLU6. Raise ValueError if there is none."""
    visited = 0

    def save(relu: nn.Module, inputs: tuple[Tensor, ...], output: Any) -> None:
        nonlocal visited
        if inputs[0].dim() == 4:
            visit(output.detach())
            visited += 1

    hooks = [m.register_forward_hook(save) for m in network.modules() if isinstance(m, nn.ReLU | nn.ReLU6)]
    with temporary_hooks(hooks), stateless_forward(network, state) as forward, torch.no_grad():
        forward(x)
    if not visited:
        raise ValueError("the proxy measures ReLUs on feature maps, and this network has none")


def _flat_images(features: Tensor) -> Tensor:
    """Return a feature map as [images, units], without a copy in both memory formats of a CPU."""
    return features.permute(0, 2, 3, 1).flatten(1) if _is_channels_last(features) else features.flatten(1)


def _is_channels_last(features: Tensor) -> bool:
    return features.is_contiguous(memory_format=torch.channels_last)
