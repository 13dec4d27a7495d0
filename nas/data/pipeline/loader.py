"""Resumable batch loaders, whose random numbers depend only on the position in the run."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Generator, Tensor

from nas.data.pipeline.resumable import ResumableLoader
from nas.utils.errors import NasError
from nas.utils.seeds import derive_seed

Transform = Callable[[Tensor, Generator | None], Tensor]


class Loader(ResumableLoader):
    """Iterable over batches ``(x, y)`` of images (float32 [B, C, H, W]) and labels (int64 [B]).

    The order is a function of (``seed``, ``stream``, epoch, pass) and the same on every rank (``ResumableLoader``). A
    subclass builds the batches in ``_build_batches``.

    Args:
        size: number of images in the data set.
        indices: images to load (int64 [M]); None: all.
        batch_size: images per batch on each rank.
        shuffle: use a new order in every pass; False: the order of ``indices``.
        drop_last: drop an incomplete last batch.
        seed: seed of the run.
        stream: distinguishes the loaders of a run with the same ``seed``.
        rank, world: this process loads every ``world``-th image from ``rank`` on.
        wrap: repeat images from the start of the order until all ranks have equally many. False: load each image on
            a single rank, for metrics that are sums over images.

    Raises:
        NasError: if there are no images, or a number is out of range.
    """

    def __init__(
        self,
        size: int,
        indices: Tensor | None = None,
        *,
        batch_size: int,
        shuffle: bool,
        drop_last: bool = False,
        seed: int = 0,
        stream: int = 0,
        rank: int = 0,
        world: int = 1,
        wrap: bool = True,
    ) -> None:
        if batch_size < 1 or not 0 <= rank < world:
            raise NasError(
                f"batch_size={batch_size}, rank={rank}, world={world}: out of range for a loader. "
                "Set batch_size to at least 1 and rank to 0..world-1."
            )
        super().__init__(seed, stream)
        self.indices = torch.arange(size) if indices is None else indices.cpu()
        if not len(self.indices):
            raise NasError("indices=[]: a loader needs at least one image. Set a larger part of the data set.")
        self.batch_size, self.shuffle, self.drop_last = batch_size, shuffle, drop_last
        self.rank, self.world = rank, world
        self.wrap = wrap or len(self.indices) < world  # a rank without a batch would block the others

    @property
    def share(self) -> int:
        """Number of images on this rank per pass."""
        if self.wrap:
            return -(-len(self.indices) // self.world)
        return len(range(self.rank, len(self.indices), self.world))

    def __len__(self) -> int:
        """Return the number of batches per pass."""
        return self.share // self.batch_size if self.drop_last else -(-self.share // self.batch_size)

    def _iterate(self, pass_key: tuple[int, ...], start: int) -> Iterator[tuple[int, tuple[Tensor, Tensor]]]:
        order = self._order(pass_key)
        batches = [order[b * self.batch_size : (b + 1) * self.batch_size] for b in range(start, len(self))]
        yield from self._build_batches(pass_key, start, batches)

    @abstractmethod
    def _build_batches(
        self, pass_key: tuple[int, ...], start: int, batches: Sequence[Tensor]
    ) -> Iterator[tuple[int, tuple[Tensor, Tensor]]]:
        """Yield each batch of a pass with the number of batches completed after it.

        Args:
            pass_key: seed, stream, epoch and number of the pass; the augmentation is a function of it.
            start: number of the first batch within the pass.
            batches: indices of the images, a tensor (int64 [B]) per batch.
        """

    @abstractmethod
    def load_images(self, indices: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        """Return the images at ``indices`` (int64 [B], of the whole data set) with labels, augmented by ``seed``."""

    def _order(self, pass_key: tuple[int, ...]) -> Tensor:
        """Return the image indices of this rank in the order of a pass (int64 [share])."""
        size = len(self.indices)
        order = self.indices
        if self.shuffle:
            order = order[torch.randperm(size, generator=Generator().manual_seed(derive_seed(*pass_key)))]
        return order[(self.rank + self.world * torch.arange(self.share)) % size]


class TensorLoader(Loader):
    """Batches from tensors in memory, augmented as a whole.

    The augmentation is a function of the pass, the rank and the number of the batch.

    Args:
        images: [N, C, H, W], uint8 or float; moved to ``device``.
        labels: int64 [N].
        indices: images to load (int64 [M]); None: all.
        transform: function of a batch and a generator on its device.
        device: device of the images and the transform.
        options: options of ``Loader``.

    Raises:
        NasError: if the numbers of images and labels differ, there are no images, or a number is out of range.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        indices: Tensor | None = None,
        *,
        transform: Transform,
        device: torch.device | str = "cpu",
        **options: Any,
    ) -> None:
        if len(images) != len(labels):
            raise NasError(f"a loader needs a label per image, but has {len(images)} images and {len(labels)} labels")
        super().__init__(len(images), indices, **options)
        self.device, self.transform = torch.device(device), transform
        self.images, self.labels = images.to(self.device), labels.to(self.device)

    def _build_batches(
        self, pass_key: tuple[int, ...], start: int, batches: Sequence[Tensor]
    ) -> Iterator[tuple[int, tuple[Tensor, Tensor]]]:
        if not batches:
            return
        # Copied to the device once per pass, so that no step synchronizes the device.
        order = torch.cat(list(batches)).to(self.device)
        generator = Generator(self.device)
        for number, indices in enumerate(order.split(self.batch_size), start):
            generator.manual_seed(derive_seed(*pass_key, self.rank, number))
            x = self.transform(self.images.index_select(0, indices), generator)
            yield number + 1, (x, self.labels.index_select(0, indices))

    def load_images(self, indices: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        indices = indices.to(self.device)
        x = self.transform(self.images.index_select(0, indices), Generator(self.device).manual_seed(seed))
        return x, self.labels.index_select(0, indices)
