"""Position of a loader in the run, from which it resumes exactly."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any


class ResumableLoader(ABC):
    """Iterable over batches whose random numbers depend only on the position in the run.

    The batches are a function of (``seed``, ``stream``, epoch, pass). A pass is one iteration; a cycled loader has
    several passes per epoch. A resumed run therefore has the same batches as an uninterrupted one, and the global
    generators stay untouched. A subclass yields the batches in ``_iterate``.

    Args:
        seed: seed of the run.
        stream: distinguishes the loaders of a run with the same ``seed``.
    """

    # Lightning reads this attribute of every loader with a ``sampler``.
    batch_sampler = None

    def __init__(self, seed: int = 0, stream: int = 0) -> None:
        self.seed, self.stream = seed, stream
        self._epoch = 0
        self._next_pass = 0  # number of the pass of the next iterator
        self._skip = 0  # batches of that pass before the checkpoint
        self._position = (0, 0)  # current pass, batches returned in it
        self._restored = False

    @property
    def sampler(self) -> ResumableLoader:
        """The loader itself: Lightning announces each epoch through ``loader.sampler.set_epoch``."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Start ``epoch`` at its first pass, unless a checkpoint from within that epoch was just loaded."""
        if self._restored and epoch == self._epoch:
            self._restored = False
            return
        self._epoch, self._next_pass, self._skip = epoch, 0, 0
        self._position, self._restored = (0, 0), False

    def __iter__(self) -> Iterator[Any]:
        # A generator on purpose: Lightning creates the first iterator before it calls set_epoch, and this body does
        # not run before the first batch is requested.
        number, start = self._next_pass, self._skip
        self._next_pass, self._skip, self._restored = number + 1, 0, False
        for done, batch in self._iterate((self.seed, self.stream, self._epoch, number), start):
            self._position = (number, done)
            yield batch

    @abstractmethod
    def _iterate(self, pass_key: tuple[int, ...], start: int) -> Iterator[tuple[int, Any]]:
        """Yield each batch of a pass with the number of batches completed after it.

        Args:
            pass_key: seed, stream, epoch and number of the pass; the batches are a function of it.
            start: number of the first batch within the pass.
        """

    def state_dict(self) -> dict[str, Any]:
        """Return the position of the iteration. Lightning saves it, so that a run can resume within an epoch."""
        number, batch = self._position
        return {"epoch": self._epoch, "pass": number, "batch": batch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Let the next iterator start after the batch at which ``state`` was saved."""
        self._epoch, self._next_pass, self._skip = state["epoch"], state["pass"], state["batch"]
        self._position, self._restored = (state["pass"], state["batch"]), True
