"""Which architecture the supernet's weights are trained on, where it is not the relaxation's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from torch import Tensor

from nas.cells import Architecture


class Perturbation(Protocol):
    """Returns the architecture of the weight step, given the relaxation's.

    ``loss`` maps an architecture to the loss of the training batch, in the supernet's present mode.
    """

    def __call__(self, arch: Architecture, loss: Callable[[Architecture], Tensor]) -> Architecture: ...
