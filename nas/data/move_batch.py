"""Transfer of batches to a device."""

from __future__ import annotations

from typing import Any

import torch
from pytorch_lightning.utilities import move_data_to_device


def move_batch(batch: Any, device: torch.device | None) -> Any:
    """Return a batch of images or text with all tensors on a device; None: the batch as it is."""
    return batch if device is None else move_data_to_device(batch, device)
