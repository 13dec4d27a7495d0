"""The mixture of all ops of an edge."""

from __future__ import annotations

from torch import Tensor

from nas.relaxations.base import Relaxation, masked_softmax


class Softmax(Relaxation):
    """DARTS' mixture: the softmax of alpha over the ops of an edge (Liu et al., 2019)."""

    def relax(self, name: str, alpha: Tensor, mask: Tensor) -> tuple[Tensor, Tensor | None]:
        return masked_softmax(alpha, mask), None
