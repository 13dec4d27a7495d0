"""Log line with the images that a data set has found."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

log = logging.getLogger(__name__)


class FoundImages(Protocol):
    """Part of ``ImageData`` that the line describes."""

    name: str
    classes: int
    shape: tuple[int, int, int]
    trainer: Any

    def sizes(self) -> Mapping[str, int]:
        """Return the number of images of each part."""


def log_images(data: FoundImages, notes: Sequence[str] = ()) -> None:
    """Log the number of classes, the shape and the number of images by part, and ``notes``; on the first rank only."""
    if data.trainer is None or data.trainer.global_rank == 0:
        shape = " x ".join(map(str, data.shape))
        parts = ", ".join(f"{size:,} {part}" for part, size in data.sizes().items())
        text = f"{data.name}: {data.classes} classes, images of {shape} ({parts})"
        log.info("images         %s", "; ".join([text, *filter(None, notes)]))
