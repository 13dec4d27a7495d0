"""Reproducible mini-batches for zero-cost proxies, independent of the training batches."""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from nas.data.base import ImageData, Images

log = logging.getLogger(__name__)


class ProxyBatches:
    """Random training images of a data set, as a function of a seed.

    Calling an instance with a number returns that many different images, augmented as in training, and their labels.
    If there are fewer images, all of them are returned.

    Args:
        data: the data set.
        seed: seed of the images that a call returns.
        images: "weights": the part that trains the weights; "all": all training images.
    """

    def __init__(self, data: ImageData, seed: int, images: Images = "weights") -> None:
        if data.trainer is None:  # a trainer would have called it
            data.prepare_data()
        self._augmented = data.measurement_loader(augment=True, images=images)
        self._plain = data.measurement_loader(augment=False, images=images)
        self.seed = seed

    def __call__(self, count: int) -> tuple[Tensor, Tensor]:
        return self.augmented(count, self.seed)

    def augmented(self, count: int, seed: int) -> tuple[Tensor, Tensor]:
        """Return ``count`` augmented and normalized images [B, C, H, W] with labels [B]."""
        return self._augmented.load_images(self._sample(count, seed, repeat=False), seed)

    def plain(self, count: int, seed: int) -> Tensor:
        """Return ``count`` normalized images [count, C, H, W] without augmentation; images repeat if necessary."""
        return self._plain.load_images(self._sample(count, seed, repeat=True), seed)[0]

    def _sample(self, count: int, seed: int, repeat: bool) -> Tensor:
        indices = self._augmented.indices
        generator = Generator().manual_seed(seed)
        passes = -(-count // len(indices)) if repeat else 1
        order = torch.cat([torch.randperm(len(indices), generator=generator) for _ in range(passes)])[:count]
        if len(order) < count:
            log.warning("the proxy batch has all %d images instead of %d", len(order), count)
        return indices[order]


class LazyProxyBatches:
    """Proxy batches on a device, created by ``create`` on first use."""

    def __init__(self, create: Callable[[], ProxyBatches], device: torch.device | None) -> None:
        self._create = create
        self._batches: ProxyBatches | None = None
        self.device = device

    def __call__(self, count: int) -> tuple[Tensor, Tensor]:
        x, y = self._get()(count)
        return x.to(self.device), y.to(self.device)

    def plain(self, count: int, seed: int) -> Tensor:
        """Return images as ``ProxyBatches.plain``, on the device."""
        return self._get().plain(count, seed).to(self.device)

    def _get(self) -> ProxyBatches:
        if self._batches is None:
            self._batches = self._create()
        return self._batches
