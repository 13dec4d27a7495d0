"""The density of the concrete distribution."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def concrete_log_density(logits: Tensor, weights: Tensor, tau: float, mask: Tensor) -> Tensor:
    """log p(weights) of softmax((logits + g) / tau) with Gumbel variables g, a row at a time: [..., n] -> [...].

    Over the entries where ``mask`` [..., n] is True; a density with respect to all but one coordinate of the simplex
    (Maddison et al., ICLR 2017, equation 10; SNAS, section 2.4). A weight of 0, which a draw of finite
    precision has at a low temperature, counts as the smallest normal number.
    """
    count = mask.sum(-1)
    log_weights = weights.clamp_min(torch.finfo(weights.dtype).tiny).log()
    spread = (logits - tau * log_weights).masked_fill(~mask, -math.inf).logsumexp(-1)
    terms = (logits - (tau + 1) * log_weights).masked_fill(~mask, 0.0).sum(-1)
    constant = count.to(weights.dtype).lgamma() + (count - 1) * math.log(tau)
    return constant + terms - count * spread
