"""Gradients of the sum of all logits with respect to the images."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nas.proxies.proxy import stateless_forward


def input_gradients(network: nn.Module, images: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return the logits [B, classes] and the gradients [B, values] of their sum; None if images have no influence.

    Batch norm in training mode couples the images. The state of the network is restored.
    """
    x = images.detach().clone().requires_grad_()
    with stateless_forward(network) as forward:
        logits = forward(x)
        (gradients,) = torch.autograd.grad(logits.sum(), x, allow_unused=True)
    return logits, None if gradients is None else gradients.flatten(1)
