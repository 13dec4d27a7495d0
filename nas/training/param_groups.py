"""Which parameters of a network decay."""

from __future__ import annotations

from typing import Any

from torch import nn


def parameter_groups(network: nn.Module, norm_and_bias: bool) -> list[Any]:
    """What an optimizer takes: all parameters, or two groups of which the second does not decay.

    Without ``norm_and_bias`` that second group holds every vector and scalar: scales and shifts of norms, and biases.
    """
    if norm_and_bias:
        return list(network.parameters())
    parameters = list(network.parameters())
    return [
        {"params": [p for p in parameters if p.ndim > 1]},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
