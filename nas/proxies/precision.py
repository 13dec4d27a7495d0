"""Measurements in float32 under any trainer precision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def in_float32(device: torch.device) -> Iterator[None]:
    """Create tensors in float32, disable autocast, and disable TF32 in the convolutions of a GPU.

    Lightning's "bf16-mixed" casts within a step; its "bf16-true" and "64-true" change the default type of new tensors.
    """
    default, tf32 = torch.get_default_dtype(), torch.backends.cudnn.allow_tf32
    torch.set_default_dtype(torch.float32)
    torch.backends.cudnn.allow_tf32 = False
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        torch.backends.cudnn.allow_tf32 = tf32
        torch.set_default_dtype(default)
