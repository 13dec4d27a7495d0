"""Parameter groups of an optimizer with and without weight decay."""

from __future__ import annotations

from typing import Any

from torch import nn


def parameter_groups(network: nn.Module, decay_norm_and_bias: bool) -> list[Any]:
    """Return the parameters of a network for an optimizer.

    Args:
        network: the network.
        decay_norm_and_bias: apply weight decay to all parameters. False: return two groups, of which the second has no
            weight decay; it contains all vectors and scalars, that is biases and the parameters of norms.
    """
    if decay_norm_and_bias:
        return list(network.parameters())
    parameters = list(network.parameters())
    return [
        {"params": [p for p in parameters if p.ndim > 1]},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
