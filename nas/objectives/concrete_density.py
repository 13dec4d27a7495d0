"""Log-density of the concrete (Gumbel-softmax) distribution."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def concrete_log_density(logits: Tensor, weights: Tensor, tau: float, mask: Tensor) -> Tensor:
    """Return log p(weights) under softmax((logits + g) / tau) with Gumbel noise g, [..., n] -> [...].

    The density is with respect to all but one coordinate of the simplex (Maddison et al., ICLR 2017, equation 10;
    SNAS, section 2.4). A weight of 0, which occurs in finite precision at low temperatures, counts as the smallest
    normal number.

    Args:
        logits: unnormalized log-probabilities [..., n].
        weights: points of the simplex [..., n].
        tau: temperature.
        mask: True at the entries that the distribution covers [..., n].
    """
    count = mask.sum(-1)
    log_weights = weights.clamp_min(torch.finfo(weights.dtype).tiny).log()
    spread = (logits - tau * log_weights).masked_fill(~mask, -math.inf).logsumexp(-1)
    terms = (logits - (tau + 1) * log_weights).masked_fill(~mask, 0.0).sum(-1)
    constant = count.to(weights.dtype).lgamma() + (count - 1) * math.log(tau)
    return constant + terms - count * spread
