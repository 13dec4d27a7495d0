"""Resumable batch loaders, whose random numbers depend only on the position in the run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Generator, Tensor

from nas.utils.errors import NasError
from nas.utils.seeds import derive_seed

Transform = Callable[[Tensor, Generator | None], Tensor]


class Loader(ABC):
    """Iterable over batches ``(x, y)`` of images (float32 [B, C, H, W]) and labels (int64 [B]).

    The order is a function of (``seed``, ``stream``, epoch, pass) and the same on every rank. A pass is one iteration;
    a cycled loader has several passes per epoch. A resumed run therefore sees the same batches as an uninterrupted
    one, and the global generators stay untouched. A subclass builds the batches in ``_build_batches``.

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

    # Lightning reads this attribute of every loader with a ``sampler``.
    batch_sampler = None

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
        self.indices = torch.arange(size) if indices is None else indices.cpu()
        if not len(self.indices):
            raise NasError("indices=[]: a loader needs at least one image. Set a larger part of the data set.")
        self.batch_size, self.shuffle, self.drop_last = batch_size, shuffle, drop_last
        self.seed, self.stream, self.rank, self.world = seed, stream, rank, world
        self.wrap = wrap or len(self.indices) < world  # a rank without a batch would block the others
        self._epoch = 0
        self._next_pass = 0  # number of the pass of the next iterator
        self._skip = 0  # batches of that pass before the checkpoint
        self._position = (0, 0)  # current pass, batches returned in it
        self._restored = False

    @property
    def sampler(self) -> Loader:
        """The loader itself: Lightning announces each epoch through ``loader.sampler.set_epoch``."""
        return self

    @property
    def share(self) -> int:
        """Number of images on this rank per pass."""
        if self.wrap:
            return -(-len(self.indices) // self.world)
        return len(range(self.rank, len(self.indices), self.world))

    def __len__(self) -> int:
        """Return the number of batches per pass."""
        return self.share // self.batch_size if self.drop_last else -(-self.share // self.batch_size)

    def set_epoch(self, epoch: int) -> None:
        """Start ``epoch`` at its first pass, unless a checkpoint from within that epoch was just loaded."""
        if self._restored and epoch == self._epoch:
            self._restored = False
            return
        self._epoch, self._next_pass, self._skip = epoch, 0, 0
        self._position, self._restored = (0, 0), False

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        # A generator on purpose: Lightning creates the first iterator before it calls set_epoch, and this body does
        # not run before the first batch is requested.
        number, start = self._next_pass, self._skip
        self._next_pass, self._skip, self._restored = number + 1, 0, False
        pass_key = (self.seed, self.stream, self._epoch, number)
        order = self._order(pass_key)
        batches = [order[b * self.batch_size : (b + 1) * self.batch_size] for b in range(start, len(self))]
        for done, batch in self._build_batches(pass_key, start, batches):
            self._position = (number, done)
            yield batch

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

    def state_dict(self) -> dict[str, Any]:
        """Return the position of the iteration. Lightning saves it, so that a run can resume within an epoch."""
        number, batch = self._position
        return {"epoch": self._epoch, "pass": number, "batch": batch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Let the next iterator start after the batch at which ``state`` was saved."""
        self._epoch, self._next_pass, self._skip = state["epoch"], state["pass"], state["batch"]
        self._position, self._restored = (state["pass"], state["batch"]), True


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
