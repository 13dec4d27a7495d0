"""Batches whose every random number follows from where in the run they are drawn."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Generator, Tensor

from nas.utils.errors import NasError

Transform = Callable[[Tensor, Generator | None], Tensor]


class Loader(ABC):
    """Yields ``(x, y)``: images (float32 [B, C, H, W]) and their labels (int64 [B]).

    The order is drawn from (``seed``, ``stream``, epoch, pass), the same on every rank. A pass is one iteration; an
    epoch has several where a loader is cycled. So a resumed run sees the batches that the first one would have seen,
    and the global generators are never touched. A subclass makes the batches, in ``_batches``.

    Args:
        size: number of images there are.
        indices: the images to use (int64 [M]), all if ``None``.
        batch_size: images a batch on each rank.
        shuffle: a new order in every pass; otherwise that of ``indices``.
        drop_last: leave out a last batch that is not full.
        stream: keeps loaders of one run with the same ``seed`` apart.
        rank, world: this process takes every ``world``-th image from ``rank`` on. The order wraps round until it
            divides, so that all ranks have as many batches and of the same sizes.
        once: it does not wrap round, for results that are sums over images: each image is seen on one rank.

    Raises:
        NasError: if there is nothing to load, or a number is out of range.
    """

    # Lightning reads this of whatever has a ``sampler``.
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
        once: bool = False,
    ) -> None:
        if batch_size < 1 or not 0 <= rank < world:
            raise NasError(
                f"a loader got batch_size {batch_size}, rank {rank}, world {world}: "
                "batch_size must be at least 1 and rank in 0..world-1"
            )
        self.indices = torch.arange(size) if indices is None else indices.cpu()
        if not len(self.indices):
            raise NasError("a loader got no images: its part of the data set is empty")
        self.batch_size, self.shuffle, self.drop_last = batch_size, shuffle, drop_last
        self.seed, self.stream, self.rank, self.world = seed, stream, rank, world
        self.once = once and len(self.indices) >= world  # a rank without a batch would leave the others waiting
        self._epoch = 0
        self._next_pass = 0  # the number of the pass that the next iterator makes
        self._skip = 0  # batches of it to leave out, as they came before the checkpoint
        self._position = (0, 0)  # the current pass, batches handed out of it
        self._restored = False

    @property
    def sampler(self) -> Loader:
        """Itself: Lightning announces each epoch through ``loader.sampler.set_epoch``."""
        return self

    @property
    def share(self) -> int:
        """Images that each rank sees in a pass."""
        if self.once:
            return len(range(self.rank, len(self.indices), self.world))
        return -(-len(self.indices) // self.world)

    def __len__(self) -> int:
        """Batches in a pass."""
        return self.share // self.batch_size if self.drop_last else -(-self.share // self.batch_size)

    def set_epoch(self, epoch: int) -> None:
        """Start ``epoch`` at its first pass, unless a checkpoint from within that epoch was just loaded."""
        if self._restored and epoch == self._epoch:
            self._restored = False
            return
        self._epoch, self._next_pass, self._skip = epoch, 0, 0
        self._position, self._restored = (0, 0), False

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        # A generator on purpose: Lightning makes the first iterator before it calls set_epoch, and nothing here runs
        # until the first batch is asked for.
        number, start = self._next_pass, self._skip
        self._next_pass, self._skip, self._restored = number + 1, 0, False
        place = (self.seed, self.stream, self._epoch, number)
        order = self._order(place)
        batches = [order[b * self.batch_size : (b + 1) * self.batch_size] for b in range(start, len(self))]
        for done, batch in self._batches(place, start, batches):
            self._position = (number, done)
            yield batch

    @abstractmethod
    def _batches(
        self, place: tuple[int, ...], start: int, batches: Sequence[Tensor]
    ) -> Iterator[tuple[int, tuple[Tensor, Tensor]]]:
        """The batches of the images ``batches`` of a pass, of which the first has the number ``start``.

        Each with the number of batches that are done once it is handed out.
        """

    @abstractmethod
    def load_images(self, picked: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        """The images ``picked`` (int64 [B], of all there are) and their labels, their augmentation from ``seed``."""

    def _order(self, place: tuple[int, ...]) -> Tensor:
        """The images of this rank in the order of one pass: int64 [share]."""
        size = len(self.indices)
        order = self.indices
        if self.shuffle:
            order = order[torch.randperm(size, generator=Generator().manual_seed(derive_seed(*place)))]
        return order[(self.rank + self.world * torch.arange(self.share)) % size]

    def state_dict(self) -> dict[str, Any]:
        """Where the iteration stands. Lightning stores it, so that a run goes on in the middle of an epoch."""
        number, batch = self._position
        return {"epoch": self._epoch, "pass": number, "batch": batch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Let the next iterator go on with the batch after the one at which ``state`` was taken."""
        self._epoch, self._next_pass, self._skip = state["epoch"], state["pass"], state["batch"]
        self._position, self._restored = (state["pass"], state["batch"]), True


class TensorLoader(Loader):
    """Batches from tensors in memory, augmented as a whole.

    The augmentation is drawn from the place of the pass, the rank and the number of the batch.

    Args:
        images: [N, C, H, W], uint8 or float; moved to ``device`` at once.
        labels: int64 [N].
        indices: the images to use (int64 [M]), all if ``None``.
        transform: is called with a batch and a generator on its device.
        device: where the images lie and the transform runs.
        options: those of ``Loader``.

    Raises:
        NasError: if images and labels differ in number, there is nothing to load, or a number is out of range.
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
            raise NasError(f"a loader got {len(images)} images and {len(labels)} labels: it needs as many of both")
        super().__init__(len(images), indices, **options)
        self.device, self.transform = torch.device(device), transform
        self.images, self.labels = images.to(self.device), labels.to(self.device)

    def _batches(
        self, place: tuple[int, ...], start: int, batches: Sequence[Tensor]
    ) -> Iterator[tuple[int, tuple[Tensor, Tensor]]]:
        if not batches:
            return
        # Copied to the device once a pass, so that no step waits for it.
        order = torch.cat(list(batches)).to(self.device)
        generator = Generator(self.device)
        for number, picked in enumerate(order.split(self.batch_size), start):
            generator.manual_seed(derive_seed(*place, self.rank, number))
            x = self.transform(self.images.index_select(0, picked), generator)
            yield number + 1, (x, self.labels.index_select(0, picked))

    def load_images(self, picked: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        picked = picked.to(self.device)
        x = self.transform(self.images.index_select(0, picked), Generator(self.device).manual_seed(seed))
        return x, self.labels.index_select(0, picked)


def derive_seed(*place: int | str) -> int:
    """A 63-bit seed for a place in the run; hashed, since sums of small numbers meet each other."""
    return int.from_bytes(hashlib.blake2b(repr(place).encode(), digest_size=8).digest(), "big") >> 1
