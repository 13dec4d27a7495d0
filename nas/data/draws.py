"""Mini-batches drawn for a measurement, apart from the batches that train."""

from __future__ import annotations

import logging

import torch
from torch import Generator, Tensor

from nas.data.augment import EvalTransform
from nas.data.images import ImageData
from nas.data.loader import TensorLoader

log = logging.getLogger(__name__)


class Draws:
    """Images of the weights' part of a data set: the same ones for the same ``seed``, whenever they are asked for.

    Called with a number it gives that many different images, augmented as for training, and their labels. Where the
    part has fewer, all of them.
    """

    def __init__(self, data: ImageData, seed: int) -> None:
        loaders = data.train_dataloader()
        self._loader = loaders if isinstance(loaders, TensorLoader) else loaders.flattened[0]
        self._normalise = EvalTransform(data.mean, data.std)
        self.seed = seed

    def __call__(self, count: int) -> tuple[Tensor, Tensor]:
        return self.augmented(count, self.seed)

    def augmented(self, count: int, seed: int) -> tuple[Tensor, Tensor]:
        """``count`` images [B, C, H, W], augmented and normalised, and labels [B], drawn from ``seed`` alone."""
        generator = Generator(self._loader.device).manual_seed(seed)
        picked = self._pick(count, seed, repeat=False)
        x = self._loader.transform(self._loader.images.index_select(0, picked), generator)
        return x, self._loader.labels.index_select(0, picked)

    def plain(self, count: int, seed: int) -> Tensor:
        """``count`` normalised images [count, C, H, W], not augmented; again from the first where there are fewer."""
        picked = self._pick(count, seed, repeat=True)
        return self._normalise(self._loader.images.index_select(0, picked))

    def _pick(self, count: int, seed: int, repeat: bool) -> Tensor:
        indices = self._loader.indices
        generator = Generator().manual_seed(seed)
        passes = -(-count // len(indices)) if repeat else 1
        order = torch.cat([torch.randperm(len(indices), generator=generator) for _ in range(passes)])[:count]
        if len(order) < count:
            log.warning("a batch of %d images was asked for, there are %d: all are taken", count, len(order))
        return indices[order].to(self._loader.device)
