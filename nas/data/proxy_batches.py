"""Mini-batches drawn for a measurement, apart from the batches that train."""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from nas.data.base import ImageData

log = logging.getLogger(__name__)


class ProxyBatches:
    """Images of the weights' part of a data set: the same ones for the same ``seed``, whenever they are asked for.

    Called with a number it gives that many different images, augmented as for training, and their labels. Where the
    part has fewer, all of them.
    """

    def __init__(self, data: ImageData, seed: int) -> None:
        self._augmented, self._plain = data.weights_loader(augment=True), data.weights_loader(augment=False)
        self.seed = seed

    def __call__(self, count: int) -> tuple[Tensor, Tensor]:
        return self.augmented(count, self.seed)

    def augmented(self, count: int, seed: int) -> tuple[Tensor, Tensor]:
        """``count`` images [B, C, H, W], augmented and normalized, and labels [B], drawn from ``seed`` alone."""
        return self._augmented.load_images(self._pick(count, seed, repeat=False), seed)

    def plain(self, count: int, seed: int) -> Tensor:
        """``count`` normalized images [count, C, H, W], not augmented; again from the first where there are fewer."""
        return self._plain.load_images(self._pick(count, seed, repeat=True), seed)[0]

    def _pick(self, count: int, seed: int, repeat: bool) -> Tensor:
        indices = self._augmented.indices
        generator = Generator().manual_seed(seed)
        passes = -(-count // len(indices)) if repeat else 1
        order = torch.cat([torch.randperm(len(indices), generator=generator) for _ in range(passes)])[:count]
        if len(order) < count:
            log.warning("a batch of %d images was asked for, there are %d: all are taken", count, len(order))
        return indices[order]


class LazyProxyBatches:
    """Draws whose tensors are moved to a device, made by ``draws`` when they are first asked for."""

    def __init__(self, draws: Callable[[], ProxyBatches], device: torch.device | None) -> None:
        self._make = draws
        self._made: ProxyBatches | None = None
        self.device = device

    def __call__(self, count: int) -> tuple[Tensor, Tensor]:
        x, y = self._draws()(count)
        return x.to(self.device), y.to(self.device)

    def plain(self, count: int, seed: int) -> Tensor:
        """As ``Draws.plain``."""
        return self._draws().plain(count, seed).to(self.device)

    def _draws(self) -> ProxyBatches:
        if self._made is None:
            self._made = self._make()
        return self._made
