"""Draws from the concrete distribution."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from nas.architecture.cell import Cell
from nas.relaxations.base import Relaxation


class Gumbel(Relaxation):
    """A draw from the concrete distribution at temperature ``tau``.

    Soft: SNAS (Xie et al., 2019). Hard: GDAS (Dong and Yang, 2019), one op an edge with a straight-through
    gradient: the weights are one-hot, their gradient is that of softmax((log softmax(alpha) + g) / tau).
    The authors draw again where a Gumbel variable overflows; here the exponential it comes from is kept
    above the smallest normal number, which needs no look at the device.
    """

    def __init__(
        self,
        cells: Mapping[str, Cell],
        hard: bool = True,
        tau: float = 10.0,
        init_std: float = 1e-3,
        init_mean: float = 0.0,
    ) -> None:
        super().__init__(cells, init_std, init_mean)
        self.hard = hard
        self.tau = tau

    def draw(self, alpha: Tensor) -> Tensor:
        """Standard Gumbel variables in the shape of alpha."""
        exponential = torch.empty_like(alpha).exponential_(generator=self.generator(alpha.device))
        return -exponential.clamp_min(torch.finfo(alpha.dtype).tiny).log()

    def relax(self, name: str, alpha: Tensor, mask: Tensor) -> tuple[Tensor, Tensor | None]:
        least = torch.finfo(alpha.dtype).min
        logits = (alpha.masked_fill(~mask, least).log_softmax(dim=-1) + self.draw(alpha.detach())) / self.tau
        probabilities = logits.masked_fill(~mask, least).softmax(dim=-1) * mask
        if not self.hard:
            return probabilities, None
        chosen = probabilities.detach().argmax(dim=-1)
        one_hot = F.one_hot(chosen, alpha.shape[-1]).to(alpha.dtype) * mask
        return one_hot - probabilities.detach() + probabilities, chosen
