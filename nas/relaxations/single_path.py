"""Sampled single paths with a score-function gradient (DSNAS)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from nas.relaxations.edgewise import EdgewiseRelaxation, RelaxedEdges
from nas.relaxations.sample_categorical import sample_categorical


class SinglePath(EdgewiseRelaxation):
    """One op per edge, sampled from softmax(alpha), as in DSNAS (Hu et al., CVPR 2020).

    The sampled op has weight 1. For each edge, d(loss)/d(alpha) is d(log p of the sampled op)/d(alpha) times
    d(loss)/d(weight) (equation 8): a score-function gradient whose cost is the loss, expanded to first order around
    an edge without output. Backpropagation through the weights computes it.
    """

    def relax(self, alpha: Tensor, mask: Tensor) -> RelaxedEdges:
        log_prob = alpha.masked_fill(~mask, -torch.inf).log_softmax(dim=-1)
        chosen = sample_categorical(log_prob.detach().exp(), self.generator(alpha.device)).squeeze(-1)
        return RelaxedEdges(path_weights(log_prob, chosen), chosen)


def path_weights(log_prob: Tensor, chosen: Tensor) -> Tensor:
    """Return one-hot weights [edges, ops] with the gradient of the log-probability of the chosen op.

    Args:
        log_prob: log-probabilities of the ops [edges, ops].
        chosen: column of the op of each edge, int64 [edges].
    """
    score = log_prob.gather(-1, chosen[:, None])
    one_hot = F.one_hot(chosen, log_prob.shape[-1]).to(log_prob.dtype)
    return one_hot * (1 + (score - score.detach()))
