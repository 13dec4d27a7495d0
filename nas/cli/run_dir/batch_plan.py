"""Division of the images of an optimizer step among devices and passes."""

from __future__ import annotations

from typing import NamedTuple


class BatchPlan(NamedTuple):
    """Images of an optimizer step: their product is the effective batch size."""

    devices: int
    passes: int
    """Forward and backward passes of a step on each device, whose gradients are accumulated."""
    size: int
    """Images per pass."""

    @property
    def share(self) -> int:
        """Images per step on each device."""
        return self.passes * self.size

    @property
    def total(self) -> int:
        """Images per step on all devices."""
        return self.devices * self.share

    def describe(self) -> str:
        """Return the effective batch size and its factors, without factors of 1."""
        factors = [
            *([f"{self.devices} devices"] if self.devices > 1 else []),
            *([f"{self.passes} passes"] if self.passes > 1 else []),
        ]
        parts = f" ({' x '.join(factors)} x {self.size} images)" if factors else ""
        return f"{self.total} images per step{parts}"
