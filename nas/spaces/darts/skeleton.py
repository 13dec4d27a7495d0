"""The skeleton of a DARTS network: everything outside its cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nas.utils.errors import NasError

Stem = Literal["cifar", "imagenet", "none"]


@dataclass(frozen=True)
class Skeleton:
    """Size and fixed layers of a network, with a reduction at 1/3 and 2/3 of its depth.

    Attributes:
        channels: Width of the nodes in the first cell; each reduction doubles it.
        layers: Number of cells. One cell is a reduction, and so are both of two.
        stem: "cifar" keeps the resolution, "imagenet" divides it by eight, "none" omits the stem.
        stem_multiplier: Width of the stem relative to ``channels``; None is 3 for CIFAR and 1 for ImageNet.
        lastact: Whether a batch norm and a ReLU precede the pooling, as in AutoDL-Projects.
    """

    channels: int
    layers: int
    stem: Stem = "cifar"
    stem_multiplier: int | None = None
    lastact: bool = False

    @property
    def reductions(self) -> tuple[int, int]:
        """Positions of the reductions; equal in a network of one cell."""
        return self.layers // 3, 2 * self.layers // 3

    @property
    def stem_width(self) -> int:
        """Output channels of the stem. Raises NasError if there are too few."""
        usual = 3 if self.stem == "cifar" else 1
        multiplier = usual if self.stem_multiplier is None else self.stem_multiplier
        if min(self.channels, multiplier) < 1 or (self.stem == "imagenet" and multiplier * self.channels < 2):
            raise NasError(
                f"channels={self.channels}, stem_multiplier={multiplier}: too few channels for the {self.stem} stem. "
                "Increase channels."
            )
        return multiplier * self.channels
