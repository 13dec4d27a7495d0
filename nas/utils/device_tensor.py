"""Tensors from Python numbers on a device."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def device_tensor(values: Any, device: torch.device | None, dtype: torch.dtype | None = None) -> Tensor:
    """Return a tensor of a short nested list of numbers on a device, without a device synchronization.

    ``torch.tensor(values, device=device)`` waits for a CUDA device. This copy is queued behind the operations of the
    device. Its source is staged before the call returns, so it may be freed.
    """
    return torch.tensor(values, dtype=dtype).to(device, non_blocking=True)
