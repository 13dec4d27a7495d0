"""Relaxations that train the weights on single paths."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from nas.architecture.cell import Architecture
from nas.architecture.masks import Masks
from nas.relaxations.base import Relaxation
from nas.relaxations.sampling import drawn
from nas.relaxations.softmax import Softmax
from nas.relaxations.uniform import uniform_path


class ScoredPath(Relaxation):
    """DSNAS: one op an edge, drawn from softmax(alpha); its gradient is scored by the log-probability of the draw.

    The drawn op has weight 1, and d(loss)/d(alpha) of an edge is d(log p of its op)/d(alpha) times
    d(loss)/d(weight) (Hu et al., CVPR 2020, equation 8): the score-function gradient whose cost is the loss
    expanded to first order around an edge that carries nothing. Any gradient by backpropagation gives it.
    """

    def relax(self, name: str, alpha: Tensor, mask: Tensor) -> tuple[Tensor, Tensor | None]:
        log_p = alpha.masked_fill(~mask, -torch.inf).log_softmax(dim=-1)
        generator = self.generator(alpha.device)
        chosen = drawn(log_p.detach().exp(), generator)
        score = log_p.gather(-1, chosen)
        one_hot = F.one_hot(chosen.squeeze(-1), alpha.shape[-1]).to(alpha.dtype)
        return one_hot * (1 + (score - score.detach())), chosen.squeeze(-1)


class UniformWeights(Softmax):
    """SETN: the weights learn on uniform paths, alphas under the softmax of all ops (Dong and Yang, ICCV 2019)."""

    def for_weights(self, masks: Masks) -> Architecture:
        return uniform_path(self, masks)
