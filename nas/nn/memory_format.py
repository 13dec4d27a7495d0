"""Memory formats of features and of their gradients."""

from __future__ import annotations

import torch
from torch import Tensor


def is_channels_last(x: Tensor) -> bool:
    """Return whether the channels of a pixel are neighbors in the memory of features [B, C, H, W] of several pixels."""
    return (
        x.shape[1] > 1 and x.shape[2] * x.shape[3] > 1 and x.stride(1) == 1
    )  # within vmap a tensor has strides, but no memory format


def densify(x: Tensor) -> Tensor:
    """Return features [B, C, H, W] in their memory format without gaps."""
    return x.contiguous(memory_format=torch.channels_last if is_channels_last(x) else torch.contiguous_format)


def with_dense_gradient(x: Tensor) -> Tensor:
    """Return features [B, C, H, W] whose gradient has no gaps in memory.

    The gradient of a part of a concatenation is a slice. On a CPU, PyTorch adds and multiplies slices in bfloat16 one
    number at a time.
    """
    if not x.requires_grad:
        return x
    x = x.view_as(x)
    x.register_hook(densify)
    return x
