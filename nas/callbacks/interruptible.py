"""Long evaluations within an epoch, which SIGTERM ends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

import pytorch_lightning as pl
from pytorch_lightning.utilities.exceptions import SIGTERMException

T = TypeVar("T")


def interruptible(trainer: pl.Trainer, parts: Iterable[T]) -> Iterator[T]:
    """Yield the parts of a long evaluation, such as batches or architectures, until the process receives SIGTERM.

    Lightning reacts to SIGTERM after the next training step. A callback that evaluates architectures for minutes would
    delay it. With several processes the others would wait for this one, so they still end after the step.

    Raises:
        SIGTERMException: after SIGTERM, before the next part.
    """
    for part in parts:
        if trainer.received_sigterm and trainer.world_size == 1:
            raise SIGTERMException
        yield part
